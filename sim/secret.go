package sim

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// redacted stands wherever a secret would have been shown.
const redacted = "[redacted]"

// Secret is a value that must not reach logs, events, errors or JSON by accident: every way of printing it says
// "[redacted]". [Secret.Reveal] is the one way to the value, and easy to search for.
//
// Go leaves three gaps, since it calls no method there: a struct printed by fmt whose Secret field is unexported, the
// verb %p (go vet refuses it), and a Secret as the key of a map in JSON. So keep a Secret in exported fields.
type Secret string

// Reveal gives the value. The caller answers for where it goes.
func (s Secret) Reveal() string { return string(s) }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s), []byte(o)) == 1
}

// String redacts.
func (Secret) String() string { return redacted }

// GoString redacts %#v.
func (Secret) GoString() string { return redacted }

// Format redacts every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue redacts in slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText redacts in JSON, YAML and XML. Where a secret is the very content (values.yaml), the writer reveals it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
