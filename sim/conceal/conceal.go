// Package conceal keeps secrets out of what people are shown: it knows them, and writes [Mark] in their place.
package conceal

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/dpesim/dpesim/sim"
)

// Mark stands where a secret would have been shown.
const Mark = "[redacted]"

// Least is how many bytes a secret must have to be looked for: a shorter one would be found in everything. It is the shortest
// password that the portal takes.
const Least = 8

// Set is the secrets that are known. It is safe for concurrent use; a nil Set knows none.
type Set struct {
	mu       sync.Mutex
	forms    map[string]bool // how secrets may be written
	replacer *strings.Replacer
	longest  int // of forms
}

// New gives a set that knows secrets.
func New(secrets ...sim.Secret) *Set {
	s := &Set{}
	s.Note(secrets...)
	return s
}

// Note adds secrets. They stay known when they are no longer valid: what was printed remains.
func (s *Set) Note(secrets ...sim.Secret) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		s.noteLocked(secret.Reveal())
	}
}

func (s *Set) noteLocked(secret string) {
	if len(secret) < Least || s.forms[secret] {
		return
	}
	if s.forms == nil {
		s.forms = map[string]bool{}
	}
	s.replacer = nil
	for _, f := range forms(secret) {
		s.forms[f] = true
		s.longest = max(s.longest, len(f))
	}
	for line := range strings.Lines(secret) { // some show one line of a key, or indent its lines
		if line = strings.TrimSpace(line); line != secret && !strings.HasPrefix(line, "-----") {
			s.noteLocked(line)
		}
	}
	s.noteLocked(privatePart(secret))
}

// privatePart gives what is private of a JWK pair in base64, "" for anything else.
func privatePart(secret string) string {
	text, err := base64.StdEncoding.DecodeString(secret)
	var key struct {
		D string `json:"d"`
	}
	if err != nil || json.Unmarshal(text, &key) != nil {
		return ""
	}
	return key.D
}

// small is up to how many bytes a secret is looked for in every form. A longer one, as a record of Helm's, is printed as it is
// or as Kubernetes prints it.
const small = 4 << 10

// forms gives how a secret may be written: as it is, in base64, also as a part of a longer text, twice so if that is what a
// log-in of a registry in a manifest comes to, and as it stands in JSON and URLs.
func forms(secret string) []string {
	out := inBase64(base64.StdEncoding, secret)
	if len(secret) > small {
		return append(out, secret)
	}
	for _, once := range slices.Clone(out) {
		out = append(out, inBase64(base64.StdEncoding, once)...)
	}
	out = append(append(out, secret), inBase64(base64.URLEncoding, secret)...)
	if quoted, err := json.Marshal(secret); err == nil {
		out = append(out, string(quoted[1:len(quoted)-1]))
	}
	return append(out, url.QueryEscape(secret), url.PathEscape(secret))
}

// inBase64 gives the characters that tell of the secret and of nothing beside it, for each place in a group of three bytes where
// it may begin.
func inBase64(e *base64.Encoding, secret string) []string {
	var out []string
	for before := range 3 {
		whole := e.EncodeToString(append(make([]byte, before), secret...))
		begins := (before*8 + 5) / 6
		out = append(out, whole[begins:(before+len(secret))*8/6], whole[begins:]) // the latter where it is the end
	}
	return out
}

// Text gives text without the secrets that are known.
func (s *Set) Text(text string) string {
	if s == nil || len(text) < Least {
		return text
	}
	return s.current().Replace(text)
}

// Longest gives the length of the longest text that a secret may be written as, in bytes.
func (s *Set) Longest() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

// current gives what replaces all that is known now. Of two forms at one place it takes the longer one.
func (s *Set) current() *strings.Replacer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replacer != nil {
		return s.replacer
	}
	all := make([]string, 0, len(s.forms))
	for f := range s.forms {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(all))
	for _, f := range all {
		pairs = append(pairs, f, Mark)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s.replacer
}
