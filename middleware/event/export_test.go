package event

import "reflect"

// CatalogPatterns are the patterns of the rows of the catalogue.
func CatalogPatterns() (list []string) {
	for _, r := range catalog {
		list = append(list, r.pattern)
	}
	return list
}

// FieldsOf returns the fields of a payload type.
func FieldsOf(t reflect.Type) []Field { return fieldsOf(nil, "", t, nil) }
