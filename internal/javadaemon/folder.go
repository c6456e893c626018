package javadaemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Folder is a directory of jars. Several processes may use one at the same time.
type Folder struct {
	Dir string // required; made when something is put there
	// Repository is the base address of a Maven repository, http or https. If it is "", Maven is asked.
	Repository string
	// Maven is the program mvn, or "" for none.
	Maven string
	// Client speaks to the repository; default http.DefaultClient, which honours the proxies of the environment.
	Client *http.Client
	// Progress is told what was got so far, by one goroutine at a time, and must return soon; nil if nobody wants to know.
	Progress func(Progress)
}

// Progress is how far the fetching of jars is. While Maven works only its own downloads are known, not their sizes.
type Progress struct {
	Jars, AllJars   int   // in place, and how many were missing
	Bytes, AllBytes int64 // received, and how many were missing
	Maven           int   // files that Maven has downloaded, POMs among them
}

// MissingError says that jars are missing and that there is nothing to get them with.
type MissingError struct {
	Dir          string
	Missing, All int
}

// Error tells how many are missing, and where.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%d of %d jars are missing in %s", e.Missing, e.All, e.Dir)
}

// Complete returns the paths of the jars, in their order, after checking size and SHA-256 of each. What is missing it gets from
// the repository, else by Maven, else it returns a *[MissingError]; if nothing is missing it touches neither network nor disk.
// A file in the folder that is not the jar it should be is an error and stays as it is: it may be the user's.
func (f Folder) Complete(ctx context.Context, jars []Jar) ([]string, error) {
	dir, err := filepath.Abs(f.Dir)
	if err != nil {
		return nil, err
	}
	f.Dir = dir
	missing, err := f.missing(ctx, jars)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if err := f.get(ctx, missing, len(jars)); err != nil {
			return nil, err
		}
	}
	paths := make([]string, len(jars))
	for i, j := range jars {
		paths[i] = f.path(j)
	}
	return paths, nil
}

func (f Folder) path(j Jar) string { return filepath.Join(f.Dir, j.File()) }

// missing checks what is there.
func (f Folder) missing(ctx context.Context, jars []Jar) ([]Jar, error) {
	absent := make([]bool, len(jars))
	wrong := make([]error, len(jars))
	var checks errgroup.Group
	checks.SetLimit(runtime.GOMAXPROCS(0))
	for i, j := range jars {
		checks.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := check(f.path(j), j)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				absent[i] = true
			case err != nil:
				wrong[i] = fmt.Errorf("%w; remove it, and the right one is fetched", err)
			}
			return nil
		})
	}
	if err := errors.Join(checks.Wait(), errors.Join(wrong...)); err != nil {
		return nil, err
	}
	var missing []Jar
	for i, j := range jars {
		if absent[i] {
			missing = append(missing, j)
		}
	}
	return missing, nil
}

// check returns an error unless a file is the jar: one that matches fs.ErrNotExist if it is not there.
func check(path string, j Jar) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Size() < j.Size:
		return fmt.Errorf("%s is half a jar: it has %d of %d bytes", path, info.Size(), j.Size)
	case info.Size() > j.Size:
		return fmt.Errorf("%s is another jar than the locked one: it has %d bytes, not %d", path, info.Size(), j.Size)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != j.SHA256 {
		return fmt.Errorf("%s is another jar than the locked one: its SHA-256 is %s, not %s", path, got, j.SHA256)
	}
	return nil
}

// get puts the missing jars into the folder.
func (f Folder) get(ctx context.Context, missing []Jar, all int) error {
	if f.Repository == "" && f.Maven == "" {
		return &MissingError{Dir: f.Dir, Missing: len(missing), All: all}
	}
	if err := os.MkdirAll(f.Dir, 0o777); err != nil {
		return fmt.Errorf("make the jar folder: %w", err)
	}
	f.sweep()
	if f.Repository != "" {
		return f.download(ctx, missing)
	}
	return f.resolve(ctx, missing)
}

// unfinished begins the names of what is not a jar yet.
const unfinished = ".unfinished-"

// abandoned is the age after which nobody works on an unfinished file any more: a write to one makes it young again.
const abandoned = 24 * time.Hour

// sweep removes what launchers that were killed left behind. What cannot be removed does no harm.
func (f Folder) sweep() {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = os.RemoveAll(filepath.Join(f.Dir, e.Name()))
		}
	}
}

// place moves a file that was checked, and that is in the folder or below it, to its name.
func (f Folder) place(file string, j Jar) error {
	if err := os.Chmod(file, 0o644); err != nil {
		return err
	}
	err := os.Rename(file, f.path(j))
	if err != nil && check(f.path(j), j) == nil {
		return nil // another launcher was first, and this system does not replace files that are in use
	}
	return err
}
