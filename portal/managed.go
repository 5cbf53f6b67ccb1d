package portal

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/jwk"
)

// IntentManaged is what an environment's Ataccama-managed DPEs need. Without a key there were never any.
type IntentManaged struct {
	Replicas  int
	Key       sim.Secret // base64 of the JWK pair
	KeyID     sim.KeyID
	PublicKey *ecdsa.PublicKey
	AccessKey string
	SecretKey sim.Secret
}

func (p *Portal) managedRoutes(r *router) {
	r.api(http.MethodGet, "/environments/:env/managed", needUser, p.getManaged, op("managed", "Give the Ataccama-managed DPEs").gives(200, api.ManagedDPEs{}).tagged())
	r.api(http.MethodPut, "/environments/:env/managed", needManage, p.putManaged, op("scaleManaged", "Scale the Ataccama-managed DPEs").takes(api.ManagedScale{}).gives(200, api.ManagedDPEs{}).tagged().ifMatched())
	r.page(http.MethodPost, "/environments/:env/managed", needManage, p.submitManaged)
}

// getManaged handles GET /environments/{env}/managed.
func (p *Portal) getManaged(c echo.Context) error {
	out, revision, err := p.managed(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", api.ETag(revision))
	return ok(c, out)
}

// putManaged handles PUT /environments/{env}/managed.
func (p *Portal) putManaged(c echo.Context) error {
	var s api.ManagedScale
	if err := decode(c, &s); err != nil {
		return err
	}
	revision, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	if err := p.scaleManaged(c.Request().Context(), environmentOf(c), s.Replicas, revision); err != nil {
		return err
	}
	return p.getManaged(c)
}

// submitManaged handles the form on the Settings tab.
func (p *Portal) submitManaged(c echo.Context) error {
	env := environmentOf(c)
	revision, err := formRevision(c)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(c.FormValue("replicas"))
	if err != nil {
		err = sim.Errorf(sim.Invalid, "the number of replicas cannot be %.40q", c.FormValue("replicas")).WithHelp("give a whole number from 0")
	} else {
		err = p.scaleManaged(c.Request().Context(), env, n, revision)
	}
	if err != nil {
		return p.settings(c, err)
	}
	return see(c, environmentPage(env, "settings"))
}

// managed gives the Ataccama-managed DPEs, and the revision of their environment.
func (p *Portal) managed(ctx context.Context, env sim.EnvironmentID) (out api.ManagedDPEs, revision int64, err error) {
	e, err := p.store.Environment(ctx, env)
	if err != nil {
		return out, 0, fmt.Errorf("get Ataccama-managed DPEs: %w", err)
	}
	engines, err := p.engines(ctx, env)
	if err != nil {
		return out, 0, err
	}
	out = api.ManagedDPEs{Label: api.ManagedLabel, Replicas: e.Managed.Replicas, Release: e.Release}
	for _, x := range engines {
		if x.Managed {
			out.Connected++
		}
	}
	return out, e.Revision, nil
}

// scaleManaged says how many Ataccama-managed replicas there shall be; the cloud follows. Revision 0: whatever is there.
func (p *Portal) scaleManaged(ctx context.Context, env sim.EnvironmentID, n int, revision int64) error {
	if n < 0 {
		return api.InField("replicas", sim.Errorf(sim.Invalid, "there cannot be %d replicas", n).WithHelp("give 0 or more"))
	}
	secrets, err := managedSecrets()
	if err != nil {
		return err
	}
	p.opts.Conceal.Note(secrets.Key, secrets.SecretKey)
	return p.change(ctx, func() (sim.Event, error) {
		before, after, err := p.store.ScaleManaged(ctx, env, n, secrets, revision)
		if err != nil {
			return sim.Event{}, fmt.Errorf("scale Ataccama-managed DPEs: %w", err)
		}
		if before.Managed.Replicas == after.Managed.Replicas {
			return sim.Event{}, nil
		}
		return sim.Event{Environment: env, What: managedScaled, Detail: map[string]string{
			"from": strconv.Itoa(before.Managed.Replicas), "to": strconv.Itoa(after.Managed.Replicas),
		}}, nil
	})
}

func managedSecrets() (store.Managed, error) {
	pair, err := jwk.Generate()
	if err != nil {
		return store.Managed{}, err
	}
	key, err := jwk.Marshal(pair)
	if err != nil {
		return store.Managed{}, fmt.Errorf("write the key of the Ataccama-managed DPEs: %w", err)
	}
	m := store.Managed{Key: key, KeyID: jwk.Fingerprint(&pair.PublicKey)}
	m.AccessKey, m.SecretKey = storageCredential("MNGD")
	return m, nil
}

// managedIntent reads what is wanted of the Ataccama-managed DPEs.
func managedIntent(m store.Managed) (IntentManaged, error) {
	in := IntentManaged{Replicas: m.Replicas, Key: m.Key, KeyID: m.KeyID, AccessKey: m.AccessKey, SecretKey: m.SecretKey}
	if m.KeyID == "" {
		return in, nil
	}
	pair, err := jwk.Parse(m.Key)
	if err != nil {
		return in, fmt.Errorf("key of the Ataccama-managed DPEs: %w", err)
	}
	in.PublicKey = &pair.PublicKey
	return in, nil
}
