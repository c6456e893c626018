package javadaemon_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

func artifacts(jars []javadaemon.Jar) []string {
	var names []string
	for _, j := range jars {
		names = append(names, j.Artifact)
	}
	return names
}

// TestL7ClosureIsComplete: what lists kept by hand have missed stands in the lock, each jar once, the daemon first.
func TestL7ClosureIsComplete(t *testing.T) {
	jars := javadaemon.Closure()
	names := artifacts(jars)
	for _, want := range []string{
		"amazon-kinesis-client", "eventstream", "http-auth-aws-eventstream", "netty-transport-classes-epoll", "netty-codec-http2",
		"arns", "identity-spi", "schema-registry-common", "kafka-clients", "avro", "reactive-streams", "sts", "logback-classic",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("the lock has no %s", want)
		}
	}
	if names[0] != "amazon-kinesis-client-multilang" {
		t.Errorf("the lock begins with %s, not with the daemon", names[0])
	}
	// The KCL depends on OpenTelemetry since 3.5.
	core := jars[slices.Index(names, "amazon-kinesis-client")].Version
	if since35 := core >= "3.5"; since35 != slices.Contains(names, "opentelemetry-api") {
		t.Errorf("KCL %s, but opentelemetry-api in the lock: %v", core, !since35)
	}
	unversioned := map[string]bool{}
	for _, j := range jars {
		if key := j.Group + ":" + j.Artifact + ":" + j.Classifier; unversioned[key] {
			t.Errorf("two versions of %s", key)
		} else {
			unversioned[key] = true
		}
	}
}

func TestLockRoundTrip(t *testing.T) {
	want := javadaemon.Closure()
	want[3].Classifier = "linux-x86_64"
	got, err := javadaemon.ParseLock("lock", "# a comment\n\n"+javadaemon.FormatLock(want))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestJarNames(t *testing.T) {
	j := javadaemon.Jar{Group: "io.netty", Artifact: "netty-codec", Version: "4.1"}
	if got, want := j.Path(), "io/netty/netty-codec/4.1/netty-codec-4.1.jar"; got != want {
		t.Errorf("Path = %s, want %s", got, want)
	}
	j.Classifier = "linux"
	if got, want := j.Path()+" "+j.Coordinates(), "io/netty/netty-codec/4.1/netty-codec-4.1-linux.jar io.netty:netty-codec:4.1:linux"; got != want {
		t.Errorf("with a classifier: %s, want %s", got, want)
	}
}

func TestParseLockErrors(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		"":                                    "lock: it names no jar",
		"# nothing\n":                         "lock: it names no jar",
		"a:b:1 5":                             `lock:1: "a:b:1 5" is not coordinates, size and SHA-256`,
		"\na:b 5 " + sum:                      `lock:2: "a:b" is not group:artifact:version`,
		"a:b:1:c:d 5 " + sum:                  `lock:1: "a:b:1:c:d" is not group:artifact:version`,
		"a::1 5 " + sum:                       `lock:1: "a::1" is not group:artifact:version`,
		"a:../b:1 5 " + sum:                   `lock:1: "a:../b:1" is not group:artifact:version`,
		"a:b:.. 5 " + sum:                     `lock:1: "a:b:.." is not group:artifact:version`,
		"a:b:1 none " + sum:                   `lock:1: "none" is not a size in bytes`,
		"a:b:1 0 " + sum:                      `lock:1: "0" is not a size in bytes`,
		"a:b:1 5 12":                          `lock:1: "12" is not a SHA-256 in lower-case hex`,
		"a:b:1 5 " + sum[1:] + "A":            `lock:1: "` + sum[1:] + `A" is not a SHA-256 in lower-case hex`,
		"a:b:1 5 x" + sum[1:]:                 `lock:1: "x` + sum[1:] + `" is not a SHA-256 in lower-case hex`,
		"a:b:1 5 " + sum + "\nc:b:1 5 " + sum: `lock:2: b-1.jar is in line 1 already`,
	} {
		if _, err := javadaemon.ParseLock("lock", text); err == nil || err.Error() != want {
			t.Errorf("ParseLock(%q): %v, want %s", text, err, want)
		}
	}
}

// TestL14BrokenSDK: versions of the AWS SDK that damage leases are refused in a lock.
func TestL14BrokenSDK(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for version, broken := range map[string]bool{
		"2.27.18": false, "2.27.19": true, "2.27.21": true, "2.27.23": true, "2.27.24": false, "2.28.0": false,
	} {
		_, err := javadaemon.ParseLock("lock", "software.amazon.awssdk:dynamodb:"+version+" 5 "+sum)
		want := "lock:1: dynamodb-" + version + ".jar: versions 2.27.19 to 2.27.23 of the AWS SDK for Java have a defect that damages leases; take 2.28.0 or newer"
		if broken != (err != nil) || broken && err.Error() != want {
			t.Errorf("%s: %v", version, err)
		}
	}
	for _, j := range javadaemon.Closure() {
		if j.Group == "software.amazon.awssdk" && j.Artifact == "dynamodb" && j.Version < "2.28" {
			t.Errorf("the lock has %s", j.Coordinates())
		}
	}
}
