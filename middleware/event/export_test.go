package event

import (
	"maps"
	"reflect"
	"strings"
)

// CatalogPatterns are the patterns of the rows of the catalogue.
func CatalogPatterns() (list []string) {
	for _, r := range catalog {
		list = append(list, r.pattern)
	}
	return list
}

// FieldsOf returns the fields of a payload type.
func FieldsOf(t reflect.Type) []Field { return fieldsOf(nil, "", t, nil) }

// Aliases are the names that Canonical replaces, with the names it returns.
func Aliases() map[string]string {
	aliases := maps.Clone(older)
	registry.Lock()
	maps.Copy(aliases, registry.v1)
	registry.Unlock()
	for alias, name := range maps.Clone(aliases) {
		if short, long := strings.CutPrefix(alias, "call_"); long && Canonical(short) == name {
			aliases[short] = name
		}
	}
	return aliases
}
