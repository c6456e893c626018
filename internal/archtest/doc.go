// Package archtest holds the rules that the code of this module keeps, as tests: who may import whom, what the core must
// not touch, what a library must not do. Each failure says which rule is broken, where, and why there is such a rule.
//
// To add a package, add its row to the table in rules_test.go. A row is a promise about the package's job; if it needs many
// imports, the package has more than one.
package archtest
