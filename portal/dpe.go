package portal

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) dpeRoutes(r *router) {
	r.api(http.MethodGet, "/environments/:env/dpes", needUser, p.getDPEs, op("dpes", "List self-managed DPEs by label").gives(200, []api.DPE{}))
	r.api(http.MethodPost, "/environments/:env/dpes", needManage, p.postDPE, op("addDPE", "Add a self-managed DPE").takes(api.DPESpec{}).gives(201, api.DPE{}).located().tagged())
	r.api(http.MethodGet, "/environments/:env/dpes/:label", needUser, p.getDPE, op("dpe", "Give one DPE with its status").gives(200, api.DPE{}).tagged())
	r.api(http.MethodPatch, "/environments/:env/dpes/:label", needManage, p.patchDPE, op("editDPE", "Change drivers, replicas and an exceptional sizing; the cluster learns of it by a redeployment").takes(api.DPEEdit{}).gives(200, api.DPE{}).tagged().ifMatched())
	r.api(http.MethodDelete, "/environments/:env/dpes/:label", needManage, p.deleteDPE, op("removeDPE", "Remove a DPE for ever; the cluster is to be cleaned apart").gives(204, nil).ifMatched())
	r.api(http.MethodGet, "/environments/:env/dpes/:label/values", needSecrets, p.getValues, op("values", "Give values.yaml, which holds secrets").givesText("text/yaml").query("release", "The last file for that release; default: the current file", sim.Release("")))
	r.api(http.MethodGet, "/environments/:env/dpes/:label/commands", needUser, p.getCommands, op("commands", "Give the installation commands").gives(200, api.Commands{}))
	r.api(http.MethodGet, "/environments/:env/dpes/:label/registry-token", needSecrets, p.getRegistryToken, op("registryToken", "Give the access token of the artifacts registry, a secret").givesText("text/plain"))
	r.api(http.MethodPost, "/environments/:env/dpes/:label/registry-token", needSecrets, p.postRegistryToken, op("rotateRegistryToken", "Make another access token of the artifacts registry; the old one ends").givesText("text/plain").secretly())
}

// getDPEs handles GET /environments/{env}/dpes.
func (p *Portal) getDPEs(c echo.Context) error {
	out, err := p.dpes(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	return ok(c, out)
}

// postDPE handles POST /environments/{env}/dpes.
func (p *Portal) postDPE(c echo.Context) error {
	var s api.DPESpec
	if err := decode(c, &s); err != nil {
		return err
	}
	d, err := p.addDPE(c.Request().Context(), environmentOf(c), s)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, fmt.Sprintf("%s/environments/%s/dpes/%s", api.Prefix, d.Environment, d.Label))
	c.Response().Header().Set("ETag", d.ETag())
	return c.JSON(http.StatusCreated, d)
}

// getDPE handles GET /environments/{env}/dpes/{label}.
func (p *Portal) getDPE(c echo.Context) error {
	d, err := p.dpe(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", d.ETag())
	return ok(c, d)
}

// patchDPE handles PATCH /environments/{env}/dpes/{label}.
func (p *Portal) patchDPE(c echo.Context) error {
	var e api.DPEEdit
	if err := decode(c, &e); err != nil {
		return err
	}
	revision, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	d, err := p.editDPE(c.Request().Context(), environmentOf(c), labelOf(c), e, revision)
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", d.ETag())
	return ok(c, d)
}

// ifMatch reads the revision or version that an If-Match header asks for; 0: any.
func ifMatch(header string) (int64, error) {
	if header == "" || header == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || n < 1 || header != api.ETag(n) {
		return 0, sim.Errorf(sim.Invalid, "the If-Match header is no entity tag").WithHelp("send the ETag that came when it was read, for example %s", api.ETag(3))
	}
	return n, nil
}

// deleteDPE handles DELETE /environments/{env}/dpes/{label}.
func (p *Portal) deleteDPE(c echo.Context) error {
	revision, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	if err := p.removeDPE(c.Request().Context(), environmentOf(c), labelOf(c), revision); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// getValues handles GET /environments/{env}/dpes/{label}/values.
func (p *Portal) getValues(c echo.Context) error {
	ctx := c.Request().Context()
	b, err := p.values(ctx, environmentOf(c), labelOf(c), sim.Release(c.QueryParam("release")))
	if err != nil {
		return err
	}
	if err := p.store.Record(ctx, store.Act{Action: "values read", Environment: environmentOf(c), DPE: labelOf(c)}); err != nil {
		return err
	}
	attach(c, valuesFile)
	return c.Blob(http.StatusOK, "text/yaml; charset=utf-8", b)
}

// getCommands handles GET /environments/{env}/dpes/{label}/commands.
func (p *Portal) getCommands(c echo.Context) error {
	_, d, err := p.store.DPE(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	return ok(c, commands(d, p.opts.Cloud.Endpoints(d.Environment)))
}

// getRegistryToken handles GET /environments/{env}/dpes/{label}/registry-token.
func (p *Portal) getRegistryToken(c echo.Context) error {
	ctx := c.Request().Context()
	_, d, err := p.store.DPE(ctx, environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	if err := p.store.Record(ctx, store.Act{Action: "registry token read", Environment: environmentOf(c), DPE: labelOf(c)}); err != nil {
		return err
	}
	attach(c, tokenFile)
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(d.RegistryToken.Reveal()))
}

// postRegistryToken handles POST /environments/{env}/dpes/{label}/registry-token: another token takes the place of the old
// one.
func (p *Portal) postRegistryToken(c echo.Context) error {
	token, err := p.rotateToken(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	attach(c, tokenFile)
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(token.Reveal()))
}

func (p *Portal) dpes(ctx context.Context, env sim.EnvironmentID) ([]api.DPE, error) {
	e, rows, err := p.store.DPEs(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("list DPEs of environment %s: %w", env, err)
	}
	engines, err := p.engines(ctx, env)
	if err != nil {
		return nil, err
	}
	out := make([]api.DPE, len(rows))
	for i, d := range rows {
		if out[i], err = p.withStatus(ctx, e, d, engines); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *Portal) dpe(ctx context.Context, env sim.EnvironmentID, l sim.Label) (api.DPE, error) {
	e, d, err := p.store.DPE(ctx, env, l)
	if err != nil {
		return api.DPE{}, fmt.Errorf("get DPE %s: %w", l, err)
	}
	engines, err := p.engines(ctx, env)
	if err != nil {
		return api.DPE{}, err
	}
	return p.withStatus(ctx, e, d, engines)
}

// engines lists what is connected, by replica. While an environment's DPM does not answer, nothing is.
func (p *Portal) engines(ctx context.Context, env sim.EnvironmentID) ([]api.Engine, error) {
	out, err := p.opts.Cloud.Engines(ctx, env)
	if sim.KindOf(err) == sim.Unavailable && err != nil && ctx.Err() == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list engines of environment %s: %w", env, err)
	}
	return byReplica(out), nil
}

func byReplica(engines []api.Engine) []api.Engine {
	return slices.SortedFunc(slices.Values(engines), func(a, b api.Engine) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Replica, b.Replica))
	})
}

// withStatus is a row as people see it.
func (p *Portal) withStatus(ctx context.Context, e store.Environment, d store.DPE, engines []api.Engine) (api.DPE, error) {
	engines = slices.DeleteFunc(slices.Clone(engines), func(x api.Engine) bool { return x.Label != d.Label })
	runs := running(d.Seen, engines)
	var was store.Inputs
	if runs.Revision != 0 && runs.Revision != d.Revision {
		var err error
		if was, err = p.store.Revision(ctx, d.ID, runs.Revision); err != nil && sim.KindOf(err) != sim.NotFound {
			return api.DPE{}, fmt.Errorf("read revision %d of DPE %s: %w", runs.Revision, d.Label, err)
		}
	}
	base, err := e.Tier.Sizing()
	if err != nil {
		return api.DPE{}, err
	}
	return api.DPE{
		Sizing: d.Sizing.Or(base), ExceptionalSizing: d.Sizing,
		Environment: d.Environment, Label: d.Label, LabelWarning: labelWarning(d.Label), Name: d.Name, Drivers: d.Drivers, Replicas: d.Replicas, Release: d.Release,
		Revision: d.Revision, KeyID: d.KeyID, Created: d.Created, RegistryTokenExpires: d.RegistryExpires, Status: statusOf(d, e.Release, engines, runs, was, p.failures.of(d, engines), p.opts.Clock.Now()),
	}, nil
}

func (p *Portal) addDPE(ctx context.Context, env sim.EnvironmentID, s api.DPESpec) (api.DPE, error) {
	row, err := dpeRow(env, s)
	if err != nil {
		return api.DPE{}, err
	}
	p.opts.Conceal.Note(row.Key, row.SecretKey, row.RegistryToken)
	row.RegistryExpires = p.opts.Clock.Now().Add(registryTokenLife)
	err = p.change(ctx, func() (sim.Event, error) {
		if row, err = p.store.AddDPE(ctx, row); err != nil {
			return sim.Event{}, fmt.Errorf("add DPE %s: %w", row.Label, err)
		}
		detail := specDetail(row)
		detail["name"], detail["key_id"], detail["release"] = row.Name, string(row.KeyID), string(row.Release)
		return sim.Event{Environment: env, DPE: row.Label, What: dpeAdded, Detail: detail}, nil
	})
	if err != nil {
		return api.DPE{}, err
	}
	return p.dpe(ctx, env, row.Label)
}

// dpeRow checks s, fills in what it leaves open and generates the secrets.
func dpeRow(env sim.EnvironmentID, s api.DPESpec) (store.DPE, error) {
	d := store.DPE{Environment: env}
	var err error
	if d.Name, err = checkName(s.Name); err != nil {
		return d, err
	}
	if d.Label, err = sim.LabelFromName(d.Name); err != nil {
		return d, api.InField("name", err)
	}
	if s.Drivers == nil {
		s.Drivers = sim.Drivers()
	}
	if d.Drivers, err = checkDrivers(s.Drivers); err != nil {
		return d, err
	}
	if d.Replicas = s.Replicas; d.Replicas == 0 {
		d.Replicas = 1
	}
	if err := checkReplicas(d.Replicas); err != nil {
		return d, err
	}
	d.Sizing = s.ExceptionalSizing
	d.Secrets, err = generate(env, d.Label)
	return d, err
}

// checkDrivers gives d in the catalogue's order, never nil.
func checkDrivers(d []sim.Driver) ([]sim.Driver, error) {
	if err := sim.CheckDrivers(d); err != nil {
		return nil, api.InField("drivers", err)
	}
	return slices.DeleteFunc(sim.Drivers(), func(x sim.Driver) bool { return !slices.Contains(d, x) }), nil
}

func checkReplicas(n int) error {
	if n < 1 {
		return api.InField("replicas", sim.Errorf(sim.Invalid, "a DPE cannot have %d replicas", n).WithHelp("choose 1 or more; to have none, remove the DPE"))
	}
	return nil
}

// editDPE changes drivers, replicas and an exceptional sizing. Nothing reaches the cluster: that takes a redeployment by its
// operator.
func (p *Portal) editDPE(ctx context.Context, env sim.EnvironmentID, l sim.Label, edit api.DPEEdit, revision int64) (api.DPE, error) {
	if edit == (api.DPEEdit{}) {
		return api.DPE{}, sim.Errorf(sim.Invalid, "the edit changes nothing").WithHelp("give drivers, replicas or an exceptional sizing; name and label never change")
	}
	row := store.Edit{Sizing: edit.ExceptionalSizing}
	if edit.Drivers != nil {
		var err error
		if row.Drivers, err = checkDrivers(*edit.Drivers); err != nil {
			return api.DPE{}, err
		}
	}
	if edit.Replicas != nil {
		if err := checkReplicas(*edit.Replicas); err != nil {
			return api.DPE{}, err
		}
		row.Replicas = *edit.Replicas
	}
	err := p.change(ctx, func() (sim.Event, error) {
		before, after, err := p.store.EditDPE(ctx, env, l, row, revision)
		if err != nil {
			return sim.Event{}, fmt.Errorf("edit DPE %s: %w", l, err)
		}
		if before.Revision == after.Revision {
			return sim.Event{}, nil
		}
		return sim.Event{Environment: env, DPE: l, What: dpeEdited, Detail: specDetail(after)}, nil
	})
	if err != nil {
		return api.DPE{}, err
	}
	return p.dpe(ctx, env, l)
}

// rotateToken makes a new access token for the registry, which refuses the old one once it has been told. The installation
// is as it was: pods that run need no image.
func (p *Portal) rotateToken(ctx context.Context, env sim.EnvironmentID, l sim.Label) (sim.Secret, error) {
	token, expires := sim.Secret(rand.Text()), p.opts.Clock.Now().Add(registryTokenLife)
	p.opts.Conceal.Note(token)
	err := p.change(ctx, func() (sim.Event, error) {
		if err := p.store.RotateToken(ctx, env, l, token, expires); err != nil {
			return sim.Event{}, fmt.Errorf("rotate the registry token of DPE %s: %w", l, err)
		}
		return sim.Event{Environment: env, DPE: l, What: tokenRotated, Detail: map[string]string{"expires": expires.UTC().Format(time.RFC3339)}}, nil
	})
	return token, err
}

// removeDPE removes a DPE for ever; revision 0: whatever is there.
func (p *Portal) removeDPE(ctx context.Context, env sim.EnvironmentID, l sim.Label, revision int64) error {
	return p.change(ctx, func() (sim.Event, error) {
		d, err := p.store.RemoveDPE(ctx, env, l, revision)
		if err != nil {
			return sim.Event{}, fmt.Errorf("remove DPE %s: %w", l, err)
		}
		p.endRuns(d.ID)
		return sim.Event{Environment: env, DPE: l, What: dpeRemoved, Detail: map[string]string{
			"key_id": string(d.KeyID), "replicas_freed": strconv.Itoa(d.Replicas),
		}}, nil
	})
}

// specDetail is what the timeline tells of a DPE's specification.
func specDetail(d store.DPE) map[string]string {
	out := map[string]string{"drivers": joined(d.Drivers), "replicas": strconv.Itoa(d.Replicas), "revision": strconv.FormatInt(d.Revision, 10)}
	if words := store.SizingWords(d.Sizing); words != "" {
		out["sizing"] = words
	}
	return out
}

// joined lists ids for a person.
func joined[T ~string](s []T) string {
	out := make([]string, len(s))
	for i, x := range s {
		out[i] = string(x)
	}
	return strings.Join(out, ", ")
}
