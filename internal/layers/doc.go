// Package layers holds no code, only the test of the import graph.
//
// The test reads every Go file of the module, whatever its build tags, and
// fails when an import points up or sideways, when a package has no place in
// the table, and when a dependency, the environment or an init function is
// used where it must not be. The table is in table_test.go; its comments are
// the rules. A new package gets its row there in the commit that adds it.
package layers
