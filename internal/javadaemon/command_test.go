package javadaemon_test

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

func args(t *testing.T, c javadaemon.Command) []string {
	t.Helper()
	line, err := c.Args()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestL1L2L3L4L12CommandLine: the main class, the arguments of the daemon, the order of the class path, and of JVM options.
func TestL1L2L3L4L12CommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c := javadaemon.Command{
		Java: "/opt/java", Options: []string{"-Xmx512m", "-Dx=1 2"}, ClassPath: []string{"mine.jar", "classes"},
		Jars: []string{"/jars/a.jar", "/jars/b.jar"}, Properties: "conf/app.properties", OwnLog: "/jars/logback.xml",
	}
	classPath := strings.Join([]string{"mine.jar", "classes", "/jars/a.jar", "/jars/b.jar", filepath.Join(here, "conf")}, string(os.PathListSeparator))
	want := []string{"/opt/java", "-Dfile.encoding=UTF-8", "-Dlogback.configurationFile=/jars/logback.xml", "-Xmx512m", "-Dx=1 2", "-cp", classPath,
		"software.amazon.kinesis.multilang.MultiLangDaemon", "--properties-file", filepath.Join(here, "conf", "app.properties")}
	if diff := cmp.Diff(want, args(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.LogConfig = "mine.xml"
	want = append(slices.Delete(want, 2, 3), "--log-configuration", "mine.xml")
	if diff := cmp.Diff(want, args(t, c)); diff != "" {
		t.Errorf("with a log configuration (-want +got):\n%s", diff)
	}
}

// TestL4UsersLogbackWins: ours is not named if the user's class path has one.
func TestL4UsersLogbackWins(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"classes/logback.xml", "tests/logback-test.xml", "other/log.xml"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("<configuration/>"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	makeJar(t, filepath.Join(dir, "log.jar"), "logback.xml")
	makeJar(t, filepath.Join(dir, "other", "plain.jar"), "a/B.class")
	for entry, usersOwn := range map[string]bool{
		"classes": true, "tests": true, "other": false, "log.jar": true, "other/plain.jar": false, "*": true, "other/*": false, "none.jar": false,
	} {
		c := javadaemon.Command{Java: "java", ClassPath: []string{filepath.Join(dir, entry)}, Properties: "p", OwnLog: "/ours.xml"}
		if ours := slices.Contains(args(t, c), "-Dlogback.configurationFile=/ours.xml"); ours == usersOwn {
			t.Errorf("class path %s: our log configuration counts: %v", entry, ours)
		}
	}
}

func makeJar(t *testing.T, path, entry string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	if _, err := w.Create(entry); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestL13ShellReadsBackTheArguments prints a command and has a shell take it apart again.
func TestL13ShellReadsBackTheArguments(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	want := []string{"plain", "", "two words", "it's", `"quoted"`, "$HOME `id`", "*", "~", "a\nb", `back\slash`, "-D!x=#", "ü;&|<>(){}[]", "a=b:c,d@e%+/.-_"}
	out, err := exec.Command("/bin/sh", "-c", `printf '%s\0' `+javadaemon.Quote(want)).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := javadaemon.Quote([]string{"java", "-cp", "a.jar:b.jar"}); got != "java -cp a.jar:b.jar" {
		t.Errorf("what needs no quotes is written %s", got)
	}
}

// TestL14ClassPath: the user's entries must exist, and bring no version of the AWS SDK that damages leases.
func TestL14ClassPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"good/dynamodb-2.33.0.jar", "bad/dynamodb-2.27.20.jar", "bad/notes.txt"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	const broken = ": versions 2.27.19 to 2.27.23 of the AWS SDK for Java have a defect that damages leases; take 2.28.0 or newer"
	for entry, want := range map[string]string{
		"good": "", "good/dynamodb-2.33.0.jar": "", "good/*": "",
		"bad":                      "", // as a directory it holds classes, and Java does not look at its jars
		"bad/dynamodb-2.27.20.jar": "class path: bad/dynamodb-2.27.20.jar" + broken,
		"bad/*":                    "class path: bad/dynamodb-2.27.20.jar" + broken,
		"none.jar":                 "class path: stat none.jar: no such file or directory",
		"none/*":                   "class path: open none: no such file or directory",
	} {
		err := javadaemon.CheckClassPath([]string{"good", entry})
		if got := textOf(err); got != want {
			t.Errorf("%s: %s, want %s", entry, got, want)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
