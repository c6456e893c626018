package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	Dir, ImportPath, Name     string
	Standard                  bool
	GoFiles                   []string
	Imports                   []string
	TestImports, XTestImports []string
}

// path returns the package's path in this module, "." for the root.
func (p pkg) path() string { return short(p.ImportPath) }

func (p pkg) isMain() bool { return p.Name == "main" }

func (p pkg) isInternal() bool { return strings.Contains("/"+p.path()+"/", "/internal/") }

// short turns an import path of this module into a path inside it and leaves others alone.
func short(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// isStandard reports whether an import path is of the standard library: its first element has no dot.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// goList runs go list in the module's root.
func goList(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-tags=interop", "-json=Dir,ImportPath,Name,Standard,GoFiles,Imports,TestImports,XTestImports"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
		}
		if len(p.GoFiles)+len(p.TestImports)+len(p.XTestImports) > 0 {
			list = append(list, p)
		}
	}
}

var listed = sync.OnceValue(func() func(t *testing.T) []pkg {
	var once sync.Once
	var all []pkg
	return func(t *testing.T) []pkg {
		once.Do(func() { all = goList(t, "./...") })
		return all
	}
})

// packages returns all packages of this module.
func packages(t *testing.T) []pkg { return listed()(t) }

// source is one parsed file that is not a test.
type source struct {
	pkg  pkg
	path string // in the module, with slashes
	file *ast.File
	fset *token.FileSet
}

// at tells a place as path:line.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strings.TrimPrefix(s.fset.Position(n.Pos()).String(), s.fset.Position(n.Pos()).Filename+":")
}

// sources parses the files, tests left out, of a package.
func sources(t *testing.T, p pkg) []source {
	t.Helper()
	var all []source
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{pkg: p, path: path.Join(p.path(), name), file: f, fset: fset})
	}
	return all
}

// majorVersion is the last element of an import path that does not name the package.
var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// imported returns the name under which a file knows a package, or "" if it does not import it.
func (s source) imported(importPath string) string {
	for _, spec := range s.file.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		if base := path.Base(importPath); !majorVersion.MatchString(base) {
			return base
		}
		return path.Base(path.Dir(importPath))
	}
	return ""
}

// uses calls found for each mention of package.name in the file, whatever the package is called there.
func (s source) uses(importPath string, found func(n ast.Node, name string)) {
	local := s.imported(importPath)
	if local == "" {
		return
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				found(sel, sel.Sel.Name)
			}
		}
		return true
	})
}
