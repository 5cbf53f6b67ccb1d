package dpm

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/jwk"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Component is one of the Authorized Components: who may connect, as which label. A label may have several keys.
type Component struct {
	Key          sim.KeyID // fingerprint of PublicKey
	Label        sim.Label
	PublicKey    *ecdsa.PublicKey
	AuthorizedAt time.Time // set by [Server.Authorize]
}

func (c Component) check() error {
	if !c.Label.Valid() {
		return sim.Errorf(sim.Invalid, "%q is no label of a DPE", string(c.Label)).WithHelp("use the label that the portal derived from the name")
	}
	if c.Key == "" || jwk.Fingerprint(c.PublicKey) != c.Key {
		return sim.Errorf(sim.Invalid, "key id %q is not the fingerprint of the public key", string(c.Key)).WithHelp("use the RFC 7638 SHA-256 thumbprint of a P-256 key")
	}
	return nil
}

// trust is who may connect and who might once. It changes once the change is committed. It is safe for concurrent use.
type trust struct {
	mu         sync.RWMutex
	components map[sim.KeyID]Component
	revoked    map[sim.KeyID]sim.Label // whose they were; "": nobody's
}

// find gives the component of a key: Unauthenticated if nobody knows the key, Forbidden, with the label that it had, if
// it was revoked.
func (t *trust) find(k sim.KeyID) (Component, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c, ok := t.components[k]; ok {
		return c, nil
	}
	if label, ok := t.revoked[k]; ok {
		return Component{Key: k, Label: label}, errRevoked()
	}
	return Component{}, sim.Errorf(sim.Unauthenticated, "the token is signed by a key that this DPM does not know").
		WithHelp("use the values.yaml of this very environment; the key ids are under Authorized Components")
}

// find is [trust.find] that also knows of keys revoked earlier in the same turn.
func (t *turn) find(k sim.KeyID) (Component, error) {
	if t.revoked[k] {
		return Component{}, errRevoked()
	}
	return t.s.trust.find(k)
}

func errRevoked() error {
	return sim.Errorf(sim.Forbidden, "the DPE was removed in the portal: its key was revoked").
		WithHelp("uninstall it with helm uninstall, or add it again in the portal and install it with the new values.yaml")
}

// Authorize lets engines connect that sign with c's key. Doing it twice is doing it once. It returns Invalid for a wrong
// label or fingerprint and Conflict if the key belongs to another label or was revoked: a revoked key never comes back.
func (s *Server) Authorize(ctx context.Context, c Component) error {
	if err := c.check(); err != nil {
		return err
	}
	public, err := jwk.MarshalPublic(c.PublicKey)
	if err != nil {
		return err
	}
	cause := event.Cause(ctx)
	return s.do(ctx, func(t *turn) error {
		known, err := t.find(c.Key)
		if sim.KindOf(err) == sim.Forbidden {
			return sim.Errorf(sim.Conflict, "key %s was revoked", c.Key).WithHelp("a revoked key never comes back: generate a new one")
		}
		if err == nil && known.Label != c.Label {
			return sim.Errorf(sim.Conflict, "key %s belongs to the DPE %q", c.Key, string(known.Label)).WithHelp("generate a key for each DPE")
		}
		if err == nil {
			return nil
		}
		c.AuthorizedAt = t.now
		t.writes = append(t.writes, func(tx *sqlite.Tx) error {
			_, err := tx.ExecContext(s.ctx, `INSERT INTO components (key_id, label, public_jwk, authorized_ms) VALUES (?, ?, ?, ?)
				ON CONFLICT DO NOTHING`, c.Key, c.Label, string(public), sqlite.Millis(c.AuthorizedAt))
			return err
		})
		t.then(func() {
			s.trust.mu.Lock()
			_, twice := s.trust.components[c.Key] // asked for twice in one turn
			s.trust.components[c.Key] = c
			s.trust.mu.Unlock()
			if !twice {
				s.publish(cause, c.Label, "component authorised", map[string]string{"key_id": string(c.Key)})
			}
		})
		return nil
	})
}

// Revoke withdraws a key for ever and ends the streams of its engines at once; what they worked on goes to others. A key
// that was never authorised is remembered as revoked, too. Doing it twice is doing it once.
func (s *Server) Revoke(ctx context.Context, k sim.KeyID) error {
	cause := event.Cause(ctx)
	return s.do(ctx, func(t *turn) error {
		c, err := t.find(k)
		if sim.KindOf(err) == sim.Forbidden {
			return nil
		}
		t.writes = append(t.writes, func(tx *sqlite.Tx) error {
			if _, err := tx.ExecContext(s.ctx, `DELETE FROM components WHERE key_id = ?`, k); err != nil {
				return err
			}
			_, err := tx.ExecContext(s.ctx, `INSERT INTO revoked_keys (key_id, label, revoked_ms) VALUES (?, ?, ?)
				ON CONFLICT DO NOTHING`, k, c.Label, sqlite.Millis(t.now))
			return err
		})
		t.revoked[k] = true
		var seq uint64
		t.then(func() {
			s.trust.mu.Lock()
			_, had := s.trust.components[k]
			delete(s.trust.components, k)
			s.trust.revoked[k] = c.Label
			s.trust.mu.Unlock()
			if had {
				seq = s.publish(cause, c.Label, "component revoked", map[string]string{"key_id": string(k)})
			}
		})
		for _, e := range t.connected() {
			if e.key == k {
				t.leave(e, departure{why: "its key was revoked", cause: func() uint64 { return seq }, goodbye: revoked(), err: errRevoked()})
			}
		}
		return nil
	})
}

// Components lists the Authorized Components by label, then by time.
func (s *Server) Components(context.Context) ([]Component, error) {
	s.trust.mu.RLock()
	defer s.trust.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.trust.components), func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), a.AuthorizedAt.Compare(b.AuthorizedAt), cmp.Compare(a.Key, b.Key))
	}), nil
}

// loadTrust reads who may connect.
func (s *Server) loadTrust(ctx context.Context) error {
	s.trust.components, s.trust.revoked = map[sim.KeyID]Component{}, map[sim.KeyID]sim.Label{}
	return s.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT key_id, label, public_jwk, authorized_ms FROM components ORDER BY key_id`)
		components, err := sqlite.Collect(rows, err, scanComponent)
		if err != nil {
			return err
		}
		for _, c := range components {
			s.trust.components[c.Key] = c
		}
		rows, err = tx.QueryContext(ctx, `SELECT key_id, label FROM revoked_keys ORDER BY key_id`)
		revoked, err := sqlite.Collect(rows, err, scanRevoked)
		for _, c := range revoked {
			s.trust.revoked[c.Key] = c.Label
		}
		return err
	})
}

func scanComponent(r *sql.Rows) (Component, error) {
	var c Component
	var public string
	var ms int64
	if err := r.Scan(&c.Key, &c.Label, &public, &ms); err != nil {
		return c, err
	}
	pub, err := jwk.ParsePublic([]byte(public))
	if err != nil {
		return c, fmt.Errorf("component %s: %w", c.Key, err)
	}
	c.PublicKey, c.AuthorizedAt = pub, sqlite.FromMillis(ms)
	return c, c.check()
}

func scanRevoked(r *sql.Rows) (c Component, err error) {
	err = r.Scan(&c.Key, &c.Label)
	return c, err
}
