package adminapi

// Setting is one setting of the sidecar as it is in effect.
type Setting struct {
	Name        string `json:"name"`             // of the variable
	Value       string `json:"value"`            // without what is secret; empty if nothing is set
	Source      string `json:"source"`           // environment, file, flag or default
	From        string `json:"from,omitempty"`   // path of the file, name of the flag
	Secret      bool   `json:"secret,omitempty"` // the value, or a part of it, is not shown
	Reload      bool   `json:"reload"`           // a change is applied without a restart
	Description string `json:"description"`
}
