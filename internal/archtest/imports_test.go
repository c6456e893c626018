package archtest

import (
	"slices"
	"strings"
	"testing"
)

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 && strings.HasPrefix(p.path(), "interop/") {
			continue // tests alone, behind a build tag: nothing can import them
		}
		allowed, known := rows[p.path()]
		if !known {
			t.Errorf("package %s has no row in the table of rules_test.go: say what it may import, so that arrows keep pointing one way", p.path())
			continue
		}
		for _, i := range p.Imports {
			if !mayImport(allowed, i) {
				t.Errorf("package %s imports %s, which its row does not allow: the table keeps the layers apart (it may import %s)",
					p.path(), short(i), strings.Join(allowed, ", "))
			}
		}
	}
}

func mayImport(allowed []string, importPath string) bool {
	if isStandard(importPath) {
		return true
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		switch {
		case a == "*":
			return true
		case isOurs(importPath):
			return short(importPath) == a
		}
		return importPath == a || strings.HasPrefix(importPath, a+"/")
	})
}

func TestEveryRowHasItsPackage(t *testing.T) {
	all := packages(t)
	for row := range rows {
		if !slices.ContainsFunc(all, func(p pkg) bool { return p.path() == row }) {
			t.Errorf("the table has a row for %s, but there is no such package: take it out", row)
		}
	}
}

func TestChildrenLinkTheStandardLibraryOnly(t *testing.T) {
	for _, root := range standardOnly {
		for _, p := range goList(t, "-deps", "./"+root) {
			if !p.Standard && !slices.Contains(standardOnly, p.path()) {
				t.Errorf("package %s links %s: a child process must start within milliseconds, with nothing but the standard library", root, p.path())
			}
		}
	}
}

func TestOnlyTestPackagesImportTesting(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasSuffix(p.path(), "test") || p.path() == "internal/script" {
			continue
		}
		for _, i := range p.Imports {
			if i == "testing" || strings.HasPrefix(i, "testing/") {
				t.Errorf("package %s imports %s: only packages whose names end in test, and internal/script, may, because programs would link it", p.path(), i)
			}
		}
	}
}

func TestEveryInternalPackageHasAnImporter(t *testing.T) {
	all := packages(t)
	for _, p := range all {
		if p.isMain() || !p.isInternal() || len(p.GoFiles) == 0 || slices.Equal(p.GoFiles, []string{"doc.go"}) {
			continue // what has no code but its comment is a package of tests
		}
		used := slices.ContainsFunc(all, func(o pkg) bool {
			imports := slices.Concat(o.Imports, o.TestImports, o.XTestImports)
			return o.ImportPath != p.ImportPath && slices.Contains(imports, p.ImportPath)
		})
		if !used {
			t.Errorf("nobody imports package %s: code that no arrow leads to is dead", p.path())
		}
	}
}

func TestMayImport(t *testing.T) {
	tests := []struct {
		importPath string
		allowed    []string
		want       bool
	}{
		{"net/http", nil, true},
		{module + "/stream", []string{"stream"}, true},
		{module + "/stream/deeper", []string{"stream"}, false},
		{module, []string{"."}, true},
		{module, []string{"stream"}, false},
		{kinesis + "/types", []string{kinesis}, true},
		{kinesis + "video", []string{kinesis}, false},
		{dynamodb, []string{"*"}, true},
	}
	for _, tt := range tests {
		if got := mayImport(tt.allowed, tt.importPath); got != tt.want {
			t.Errorf("mayImport(%v, %s) = %v, want %v", tt.allowed, tt.importPath, got, tt.want)
		}
	}
}
