package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Token is an access token: a user name and a secret, as Azure's registries have them, and what it lets its user do.
type Token struct {
	User        string
	Secret      sim.Secret
	Environment sim.EnvironmentID
	Label       sim.Label // of the DPE that it was made for
	Expires     time.Time // product time; zero: never
	Grants      []Grant   // none: the token lets its user log in, and no more

	serial uint64 // counts the secrets that the registry was given
}

// expired tells whether the token is valid no longer.
func (t Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// PutToken makes t valid from now on and replaces what its user had before: another secret ends the old one at once, and
// the bearer tokens that were given for it. It returns Invalid if t cannot be sent by basic authentication.
func (r *Registry) PutToken(ctx context.Context, t Token) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.User == "" || t.Secret == "" || strings.ContainsAny(t.User, ":\r\n") {
		return sim.Errorf(sim.Invalid, "a registry token needs a user without a colon, and a secret").WithHelp("give both")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Grants = slices.Clone(t.Grants)
	if old, ok := r.tokens[t.User]; ok && old.Secret == t.Secret {
		t.serial = old.serial
	} else {
		r.serial++
		t.serial = r.serial
	}
	r.tokens[t.User] = t
	return nil
}

// DeleteToken makes a user unknown: the next request is refused. It does nothing if the user is unknown.
func (r *Registry) DeleteToken(ctx context.Context, user string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tokens, user)
	return nil
}

// Tokens lists what is known, expired ones too, by user, without the secrets.
func (r *Registry) Tokens(ctx context.Context) ([]Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.SortedFunc(maps.Values(r.tokens), func(a, b Token) int { return cmp.Compare(a.User, b.User) })
	for i := range out {
		out[i].Secret = ""
	}
	return out, nil
}

// check finds the token of a user and a secret, in the same time whether or not the user exists.
func (r *Registry) check(user string, secret sim.Secret) (Token, bool) {
	r.mu.Lock()
	t, known := r.tokens[user]
	r.mu.Unlock()
	have, want := sha256.Sum256([]byte(secret.Reveal())), sha256.Sum256([]byte(t.Secret.Reveal()))
	same := subtle.ConstantTimeCompare(have[:], want[:]) == 1
	return t, same && known
}
