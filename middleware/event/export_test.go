package event

// CatalogPatterns are the patterns of the rows of the catalogue.
func CatalogPatterns() (list []string) {
	for _, r := range catalog {
		list = append(list, r.pattern)
	}
	return list
}
