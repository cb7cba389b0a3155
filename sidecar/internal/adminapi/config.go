package adminapi

import (
	"fmt"
	"net/http"
	"time"
)

// Setting is one setting of the sidecar in effect.
type Setting struct {
	Name        string `json:"name"`             // of the variable
	Value       string `json:"value"`            // without secrets; empty if nothing is set
	Source      string `json:"source"`           // environment, file, flag or default
	From        string `json:"from,omitempty"`   // path of the file, name of the flag
	Secret      bool   `json:"secret,omitempty"` // the value, or a part of it, is not shown
	Reload      bool   `json:"reload"`           // a change is applied without a restart
	Description string `json:"description"`
}

// Reloaded is the result of reading the configuration again.
type Reloaded struct {
	At      time.Time `json:"at"`
	Changed []string  `json:"changed"` // variables whose new values are in effect
	Restart []string  `json:"restart"` // variables whose new values take a restart
}

// ConfigProblem is one mistake in a configuration.
type ConfigProblem struct {
	Variable string `json:"variable"`
	Value    string `json:"value,omitempty"` // unless it may be secret
	Text     string `json:"text"`            // what is wrong, and the fix
}

// BadConfiguration is the answer to a refused reload.
func BadConfiguration(problems []ConfigProblem) *Problem {
	p := NewProblem(http.StatusUnprocessableEntity, "bad-configuration",
		fmt.Sprintf("the new configuration has %d problems and is refused; the old one stays in effect", len(problems)))
	p.Problems = problems
	return p
}

// NotReloaded is the answer to a reload that failed for another reason.
func NotReloaded(err error) *Problem {
	return NewProblem(http.StatusInternalServerError, "not-reloaded", err.Error()+"; the old configuration stays in effect")
}

// AlertTest is the result of a test alert.
type AlertTest struct {
	OK          bool    `json:"ok"`
	Format      string  `json:"format"`
	Status      int     `json:"status"` // 0: no answer
	Answer      string  `json:"answer"` // its beginning
	Error       string  `json:"error"`
	TookSeconds float64 `json:"took_seconds"`
}

func (a *API) testAlert(w http.ResponseWriter, r *http.Request) error {
	result, err := a.cfg.TestAlert(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, result)
}

func (a *API) getConfig(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, map[string]any{"data": a.cfg.Settings()})
}

func (a *API) reloadConfig(w http.ResponseWriter, r *http.Request) error {
	result, err := a.cfg.Reload(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, result)
}
