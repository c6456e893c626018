package local_test

import (
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/local"
)

// TestDynamoDBAnswersCarryTheirChecksum: without it the SDK for Go logs a warning at each answer.
func TestDynamoDBAnswersCarryTheirChecksum(t *testing.T) {
	req, err := http.NewRequest(http.MethodPost, "http://local/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	resp, err := local.New(local.Config{}).HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10); resp.Header.Get("X-Amz-Crc32") != want {
		t.Errorf("X-Amz-Crc32 of %s is %q, want %s", body, resp.Header.Get("X-Amz-Crc32"), want)
	}
}
