package wholebody

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Client sends requests by way of another client, and hides that their bodies can write themselves.
type Client struct{ next aws.HTTPClient }

// New returns a Client before next; nil stands for what a service's client would choose.
func New(next aws.HTTPClient) Client {
	if next == nil {
		next = awshttp.NewBuildableClient()
	}
	return Client{next}
}

// Unwrap returns the client that sends, for who wants one of the same settings.
func (c Client) Unwrap() aws.HTTPClient { return c.next }

// Do sends one request, whose Body it replaces.
func (c Client) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.next.Do(r)
}
