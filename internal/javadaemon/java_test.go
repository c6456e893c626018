package javadaemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

// TestMain lets the test binary stand in for java and mvn: it is called by a link of that name.
func TestMain(m *testing.M) {
	switch strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") {
	case "java":
		fmt.Fprint(os.Stderr, os.Getenv("FAKE_JAVA_SAYS"))
		if os.Getenv("FAKE_JAVA_FAILS") != "" {
			os.Exit(3)
		}
	case "mvn":
		os.Exit(fakeMaven(os.Args[1:]))
	default:
		os.Exit(m.Run())
	}
}

// link makes dir/name this test binary.
func link(t *testing.T, dir, name string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each ends a second later under the race detector
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

const openJDK17 = "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment\n"

// TestL9FindJava: by flag, then JAVA_HOME, then PATH.
func TestL9FindJava(t *testing.T) {
	dir := t.TempDir()
	named := link(t, filepath.Join(dir, "named"), "java")
	home := link(t, filepath.Join(dir, "home", "bin"), "java")
	path := link(t, filepath.Join(dir, "path"), "java")
	t.Setenv("FAKE_JAVA_SAYS", openJDK17)
	t.Setenv("PATH", filepath.Dir(path))
	for _, tt := range []struct{ named, home, want string }{
		{named, filepath.Join(dir, "home"), named},
		{"", filepath.Join(dir, "home"), home},
		{"", "", path},
		{"java", "", path},
	} {
		got, err := javadaemon.FindJava(t.Context(), tt.named, tt.home)
		if err != nil || got.Path != tt.want || got.Version != "17.0.15" {
			t.Errorf("FindJava(%q, %q) = %+v, %v; want %s", tt.named, tt.home, got, err, tt.want)
		}
	}
}

func TestL9NoJava(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, tt := range []struct{ named, home, want string }{
		{"", "", "no Java: JAVA_HOME is not set, and the PATH has no java; install a Java runtime, version 8 or newer"},
		{"/no/java", "", `no Java: exec: "/no/java": stat /no/java: no such file or directory`},
		{"java21", "", `no Java: exec: "java21": executable file not found in $PATH`},
		{"", "/no/home", `no Java where JAVA_HOME says: exec: "/no/home/bin/java": stat /no/home/bin/java: no such file or directory`},
	} {
		if _, err := javadaemon.FindJava(t.Context(), tt.named, tt.home); err == nil || err.Error() != tt.want {
			t.Errorf("FindJava(%q, %q): %v, want %s", tt.named, tt.home, err, tt.want)
		}
	}
}

func TestL9JavaVersion(t *testing.T) {
	java := link(t, t.TempDir(), "java")
	for says, want := range map[string]string{
		openJDK17: "17.0.15",
		"java version \"1.8.0_392\"\nJava(TM) SE\n":         "1.8.0_392",
		"Picked up JAVA_TOOL_OPTIONS: -Xmx1g\n" + openJDK17: "17.0.15",
		"openjdk version \"9\"\n":                           "9",
		"openjdk version \"21-ea\" 2023-09-19\n":            "21-ea",
		"openjdk version \"25.0.1\" 2025-10-21 LTS\r\n":     "25.0.1",
		"java version \"1.7.0_80\"\n":                       "error: " + java + " is Java 1.7.0_80, which is too old: the daemon needs 8 or newer",
		"java version \"1.8\"\n":                            "1.8",
		"hello\nworld\n":                                    "error: " + java + " does not tell its version, as Java does, but \"hello\"",
		"":                                                  "error: " + java + " does not tell its version, as Java does, but \"\"",
	} {
		t.Setenv("FAKE_JAVA_SAYS", says)
		got, err := javadaemon.FindJava(t.Context(), java, "")
		text := got.Version
		if err != nil {
			text = "error: " + err.Error()
		}
		if text != want {
			t.Errorf("Java says %q: %s, want %s", says, text, want)
		}
	}
	t.Setenv("FAKE_JAVA_SAYS", "Error: could not open jvm.cfg\n")
	t.Setenv("FAKE_JAVA_FAILS", "1")
	want := "ask " + java + " for its version: exit status 3: Error: could not open jvm.cfg"
	if _, err := javadaemon.FindJava(t.Context(), java, ""); err == nil || err.Error() != want {
		t.Errorf("broken Java: %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := javadaemon.FindJava(ctx, java, ""); err == nil || !strings.HasSuffix(err.Error(), "context canceled") {
		t.Errorf("cancelled: %v", err)
	}
}
