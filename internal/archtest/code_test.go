package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// clockUse are the functions of package time that read a clock or wait for one.
var clockUse = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func TestCoreIsPure(t *testing.T) {
	forbidden := []string{"context", "net", "os", "log", "syscall", "runtime", "sync", "unsafe"}
	for _, p := range packages(t) {
		if !slices.Contains(core, p.path()) {
			continue
		}
		for _, i := range p.Imports {
			first, _, _ := strings.Cut(i, "/")
			if slices.Contains(forbidden, first) {
				t.Errorf("core package %s imports %s: the core takes values and returns values, so that every case of it can be tested", p.path(), i)
			}
		}
		for _, s := range sources(t, p) {
			s.uses("time", func(n ast.Node, name string) {
				if slices.Contains(clockUse, name) {
					t.Errorf("%s: the core uses time.%s: time is passed in as now", s.at(n), name)
				}
			})
			for _, random := range []string{"math/rand", "math/rand/v2"} {
				s.uses(random, func(n ast.Node, name string) {
					if name != "Rand" && name != "New" && name != "NewPCG" {
						t.Errorf("%s: the core uses rand.%s: randomness is passed in", s.at(n), name)
					}
				})
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				if g, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s: the core starts a goroutine: it has nothing to wait for", s.at(g))
				}
				return true
			})
		}
	}
}

func TestNobodySleeps(t *testing.T) {
	for _, p := range packages(t) {
		for _, s := range sources(t, p) {
			s.uses("time", func(n ast.Node, name string) {
				if name == "Sleep" {
					t.Errorf("%s: time.Sleep has no way out: select on a timer and ctx.Done()", s.at(n))
				}
			})
		}
	}
}

func TestLibrariesNeitherPrintNorExit(t *testing.T) {
	for _, p := range packages(t) {
		if p.isMain() {
			continue
		}
		for _, s := range sources(t, p) {
			if mayBreak("streams", s.path) {
				continue
			}
			s.uses("fmt", func(n ast.Node, name string) {
				if strings.HasPrefix(name, "Print") {
					t.Errorf("%s: a library calls fmt.%s: in a child process stdout belongs to the protocol; return a value, or log to the slog.Logger given", s.at(n), name)
				}
			})
			s.uses("log", func(n ast.Node, name string) {
				if name != "New" && name != "Logger" { // net/http wants one for its errors
					t.Errorf("%s: a library uses log.%s: log to the slog.Logger given", s.at(n), name)
				}
			})
			s.uses("os", func(n ast.Node, name string) {
				if name == "Exit" || name == "Stdout" || name == "Stdin" || name == "Stderr" {
					t.Errorf("%s: a library uses os.%s: the process and its streams are the caller's", s.at(n), name)
				}
			})
			ast.Inspect(s.file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if f, ok := call.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
						t.Errorf("%s: a library calls %s", s.at(n), f.Name)
					}
				}
				return true
			})
		}
	}
}

func TestContextsAreNotStored(t *testing.T) {
	for _, p := range packages(t) {
		for _, s := range sources(t, p) {
			if s.imported("context") == "" || mayBreak("contexts", s.path) {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				st, ok := n.(*ast.StructType)
				if !ok {
					return true
				}
				for _, f := range st.Fields.List {
					if sel, ok := f.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" {
						t.Errorf("%s: a struct stores a context: contexts are parameters, because a stored one outlives its caller unseen", s.at(f))
					}
				}
				return true
			})
		}
	}
}

func TestOnePackageCommentEach(t *testing.T) {
	for _, p := range packages(t) {
		var with []string
		for _, s := range sources(t, p) {
			if s.file.Doc != nil {
				with = append(with, s.path)
			}
		}
		switch {
		case len(p.GoFiles) == 0:
		case len(with) != 1:
			t.Errorf("package %s has %d package comments (%s): there is one, in doc.go, and it tells what the package is for", p.path(), len(with), strings.Join(with, ", "))
		case len(p.GoFiles) > 1 && !strings.HasSuffix("/"+with[0], "/doc.go"):
			t.Errorf("package %s has its comment in %s: readers look for it in doc.go", p.path(), with[0])
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if p.isMain() {
			continue
		}
		for _, s := range sources(t, p) {
			for _, d := range s.file.Decls {
				for _, name := range undocumented(d) {
					t.Errorf("%s: %s is exported and says nothing: each exported name promises something", s.at(d), name)
				}
			}
		}
	}
}

// undocumented returns the exported names that a declaration leaves without a comment.
func undocumented(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || isExportedReceiver(d.Recv)) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				if d.Tok == token.IMPORT || d.Doc != nil || spec.Doc != nil || spec.Comment != nil {
					continue
				}
				for _, n := range spec.Names {
					if n.IsExported() {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

func isExportedReceiver(recv *ast.FieldList) bool {
	e := recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
