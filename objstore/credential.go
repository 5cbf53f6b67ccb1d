package objstore

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Credential is an S3 key pair of the environment. What it may do (assumption: the product's policies are not public):
//
//   - an operator's (Label empty): everything, or only reading if ReadOnly is set;
//   - a DPE's (Label set): read every bucket, write and delete objects in [ResultsBucket] alone, neither if ReadOnly is set;
//     it may not make or remove buckets.
type Credential struct {
	AccessKey string
	SecretKey sim.Secret
	Label     sim.Label // of the DPE that it was made for; empty: an operator's
	ReadOnly  bool
}

// Length limits of keys. Source: AWS IAM API Reference, AccessKey (access key id 16 to 128 characters); MinIO takes
// three and more, so we do. The secret's lower bound is MinIO's.
const (
	minAccessKey = 3
	maxAccessKey = 128
	minSecretKey = 8
)

func (c Credential) check() error {
	if len(c.AccessKey) < minAccessKey || len(c.AccessKey) > maxAccessKey || strings.ContainsFunc(c.AccessKey, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '/' || r == '=' || r == ','
	}) {
		return sim.Errorf(sim.Invalid, "%q cannot be an access key", c.AccessKey).
			WithHelp("use %d to %d printable ASCII characters without blanks, '/', '=' and ','", minAccessKey, maxAccessKey)
	}
	if len(c.SecretKey) < minSecretKey {
		return sim.Errorf(sim.Invalid, "the secret key of %s is too short", c.AccessKey).WithHelp("use at least %d characters", minSecretKey)
	}
	if c.Label != "" && !c.Label.Valid() {
		return sim.Errorf(sim.Invalid, "%q is not a DPE's label", c.Label).WithHelp("use the label that the portal derived, or none for an operator")
	}
	return nil
}

// key is a credential that requests can be checked against.
type key struct {
	Credential
	signer *v4.Signer // its own: the signer remembers derived keys by access key, not by secret
}

func newKey(c Credential) *key {
	return &key{c, v4.NewSigner(func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3 signs the path as sent
		o.DisableHeaderHoisting = true
	})}
}

func (k *key) aws() aws.Credentials {
	return aws.Credentials{AccessKeyID: k.AccessKey, SecretAccessKey: k.SecretKey.Reveal()}
}

// keyring is what the database knows of credentials, in memory: every request asks it.
type keyring struct {
	db *sqlite.DB

	mu   sync.RWMutex
	keys map[string]*key
}

func openKeyring(ctx context.Context, db *sqlite.DB) (*keyring, error) {
	k := &keyring{db: db, keys: map[string]*key{}}
	err := db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT access_key, secret_key, label, read_only FROM credentials ORDER BY access_key`)
		all, err := sqlite.Collect(rows, err, func(r *sql.Rows) (c Credential, err error) {
			return c, r.Scan(&c.AccessKey, (*string)(&c.SecretKey), &c.Label, &c.ReadOnly)
		})
		for _, c := range all {
			k.keys[c.AccessKey] = newKey(c)
		}
		return err
	})
	return k, err
}

// find gives nil for an unknown access key.
func (k *keyring) find(accessKey string) *key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[accessKey]
}

// PutCredential makes c valid from now on and replaces what its access key meant before. It returns Invalid if c cannot
// be a credential.
func (s *Server) PutCredential(ctx context.Context, c Credential) error {
	if err := c.check(); err != nil {
		return err
	}
	s.keys.mu.Lock() // over the commit, so that memory and rows agree
	defer s.keys.mu.Unlock()
	if old := s.keys.keys[c.AccessKey]; old != nil && old.SecretKey.Equal(c.SecretKey) && old.Label == c.Label && old.ReadOnly == c.ReadOnly {
		return nil // a reconciler says it again and again
	}
	err := s.keys.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO credentials (access_key, secret_key, label, read_only) VALUES (?, ?, ?, ?)`,
			c.AccessKey, c.SecretKey.Reveal(), c.Label, c.ReadOnly)
		return err
	})
	if err != nil {
		return forCaller("objstore.PutCredential", err)
	}
	s.keys.keys[c.AccessKey] = newKey(c)
	return nil
}

// DeleteCredential makes an access key unknown: the next request with it is refused. It does nothing if it is unknown.
func (s *Server) DeleteCredential(ctx context.Context, accessKey string) error {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.keys[accessKey] == nil {
		return nil
	}
	err := s.keys.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM credentials WHERE access_key = ?`, accessKey)
		return err
	})
	if err != nil {
		return forCaller("objstore.DeleteCredential", err)
	}
	delete(s.keys.keys, accessKey)
	return nil
}

// Credentials lists what is valid now, by access key, without the secrets.
func (s *Server) Credentials(ctx context.Context) ([]Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	out := make([]Credential, 0, len(s.keys.keys))
	for _, name := range slices.Sorted(maps.Keys(s.keys.keys)) {
		c := s.keys.keys[name].Credential
		c.SecretKey = ""
		out = append(out, c)
	}
	return out, nil
}
