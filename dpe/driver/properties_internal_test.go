package driver

import (
	"strings"
	"testing"
)

// FuzzProperties: whatever the text is, it is read or refused, and what a line says plainly is read as it stands.
func FuzzProperties(f *testing.F) {
	f.Add("a=b\\\n c\n#x\n\\u0041 : y")
	f.Add("\\")
	f.Add("x\\u12")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseProperties([]byte(text)); err != nil && !strings.HasPrefix(err.Error(), "line ") && err.Error() != "it is not UTF-8" {
			t.Fatal(err)
		}
		props, err := parseProperties([]byte("#" + strings.NewReplacer("\n", "", "\r", "").Replace(text) + "\nlast = value\n"))
		if err == nil && props["last"] != "value" {
			t.Fatalf("got %q", props)
		}
	})
}
