package objstore_test

import (
	"net/http"
	"strings"
	"testing"
)

// Clients that sign with version 2 (the AWS CLI presigns so for an endpoint of its own) learn what is wrong.
func TestSignatureVersion2IsRefusedByName(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	url := f.url + "/sample-data/a.txt?AWSAccessKeyId=OPER&Signature=x&Expires=1"
	if status, body, _ := f.do(t, http.MethodGet, url, nil, nil); status != 400 || !strings.Contains(body, "Please use AWS4-HMAC-SHA256") {
		t.Errorf("got %d %s", status, body)
	}
}
