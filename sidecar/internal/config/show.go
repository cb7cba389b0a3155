package config

import (
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/instance"
)

// Settings returns every setting in effect with its value, without secret parts,
// and where that comes from.
func (c *Config) Settings() []adminapi.Setting {
	derived := c.derived()
	var list []adminapi.Setting
	for _, s := range c.settings() {
		source := c.source(s.variable)
		value := derived[s.variable]
		switch {
		case s.value.IsZero() && source.Kind != "default":
			value = s.asSet(c.loaded) // 0, or what could not be read
		case !s.value.IsZero() || s.tag("envDefault") != "":
			value = s.current()
		}
		list = append(list, adminapi.Setting{
			Name:        s.variable,
			Value:       value,
			Source:      source.Kind,
			From:        source.Name,
			Secret:      s.isSecret(),
			Reload:      s.tag("reload") != "",
			Description: s.tag("desc"),
		})
	}
	return list
}

// derived returns the values of settings that follow from others if not set.
func (c *Config) derived() map[string]string {
	dir, err := c.Dir()
	if err != nil {
		return nil
	}
	return map[string]string{
		"HOOKSWITCH_STORE":        "file:" + dir,
		"HOOKSWITCH_DATA_DIR":     dir,
		"HOOKSWITCH_ADMIN_SOCKET": instance.AdminSocket(dir),
	}
}
