package javadaemon

import (
	"fmt"
	"path/filepath"
	"regexp"
)

// brokenSDK reports whether a version of the AWS SDK for Java has the DynamoDB defect for which the README of the Java KCL
// forbids 2.27.19 to 2.27.23.
func brokenSDK(version string) bool {
	switch version {
	case "2.27.19", "2.27.20", "2.27.21", "2.27.22", "2.27.23":
		return true
	}
	return false
}

func brokenSDKError(file string) error {
	return fmt.Errorf("%s: versions 2.27.19 to 2.27.23 of the AWS SDK for Java have a defect that damages leases; take 2.28.0 or newer", file)
}

// sdkJar are the jars of the AWS SDK that have to do with DynamoDB, or are in every program that uses it.
var sdkJar = regexp.MustCompile(`^(?:dynamodb|dynamodb-enhanced|sdk-core|aws-core|kinesis|bundle|aws-sdk-java)-(\d+\.\d+\.\d+)\.jar$`)

// CheckClassPath looks at the user's own entries of the class path, which stand before the daemon's jars: each must exist,
// and none may be a version of the AWS SDK that must not be used. An entry may end in /*, which is every jar of a directory.
func CheckClassPath(entries []string) error {
	for _, entry := range entries {
		files := []string{entry}
		if filepath.Base(entry) == "*" {
			var err error
			if files, err = jarsIn(filepath.Dir(entry)); err != nil {
				return fmt.Errorf("class path: %w", err)
			}
		} else if err := exists(entry); err != nil {
			return fmt.Errorf("class path: %w", err)
		}
		for _, file := range files {
			if m := sdkJar.FindStringSubmatch(filepath.Base(file)); m != nil && brokenSDK(m[1]) {
				return fmt.Errorf("class path: %w", brokenSDKError(file))
			}
		}
	}
	return nil
}
