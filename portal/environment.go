package portal

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// pemType is the media type of certificates.
const pemType = "application/x-pem-file"

// maxName bounds names that people type, in characters.
const maxName = 100

func (p *Portal) environmentRoutes(r *router) {
	r.api(http.MethodGet, "/environments", needUser, p.getEnvironments, op("environments", "List environments by id").gives(200, []api.Environment{}))
	r.api(http.MethodPost, "/environments", needCreate, p.postEnvironment, op("createEnvironment", "Create an environment; its services take a moment").takes(api.EnvironmentSpec{}).gives(201, api.Environment{}).located().tagged())
	r.api(http.MethodGet, "/environments/:env", needUser, p.getEnvironment, op("environment", "Give one environment").gives(200, api.Environment{}).tagged())
	r.api(http.MethodDelete, "/environments/:env", needManage, p.deleteEnvironmentHandler, op("deleteEnvironment", "Delete an environment with all its DPEs; its services take a moment").gives(202, api.Environment{}).tagged().ifMatched())
	r.api(http.MethodGet, "/environments/:env/upgrade", needUser, p.getUpgrade, op("previewUpgrade", "Tell what an upgrade of the platform would mean").gives(200, api.UpgradePreview{}).query("release", "To which release", sim.Release("")))
	r.api(http.MethodPost, "/environments/:env/upgrade", needManage, p.postUpgrade, op("upgradeEnvironment", "Upgrade the platform to a newer release").takes(api.Upgrade{}).gives(200, api.Environment{}).tagged().ifMatched())
	r.api(http.MethodGet, "/environments/:env/object-storage", needSecrets, p.getObjectStorage, op("objectStorage", "Give an operator's credential of the object storage, a secret").gives(200, api.RevealedObjectStorage{}))
	r.api(http.MethodGet, "/environments/:env/ca", needUser, p.getCA, op("ca", "Give the certificate authority of the endpoints, PEM").givesText(pemType))
	r.api(http.MethodGet, "/environments/:env/credentials", needSecrets, p.getCredentials, op("credentials", "List what the environment's services honour now, without secrets").gives(200, []api.Credential{}))
	r.api(http.MethodGet, "/environments/:env/health", needUser, p.getEnvironmentHealth, op("health", "Tell whether the environment's services answer; none while it is not ready").gives(200, []api.Check{}))
	r.api(http.MethodPost, "/environments/:env/dpm/restart", needTrainer, p.postRestartDPM, op("restartDPM", "Restart the environment's DPM, as Ataccama does in a maintenance").gives(204, nil))
	r.api(http.MethodGet, "/environments/:env/engines", needUser, p.getEngines, op("engines", "List the replicas that are connected to DPM now").gives(200, []api.Engine{}))
}

// getEnvironments handles GET /environments.
func (p *Portal) getEnvironments(c echo.Context) error {
	out, err := p.environments(c.Request().Context())
	if err != nil {
		return err
	}
	return ok(c, out)
}

// postEnvironment handles POST /environments.
func (p *Portal) postEnvironment(c echo.Context) error {
	var s api.EnvironmentSpec
	if err := decode(c, &s); err != nil {
		return err
	}
	e, err := p.createEnvironment(c.Request().Context(), s)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, api.Prefix+"/environments/"+string(e.ID))
	return okEnvironment(c, http.StatusCreated, e)
}

// okEnvironment answers with an environment and its entity tag.
func okEnvironment(c echo.Context, code int, e api.Environment) error {
	c.Response().Header().Set("ETag", e.ETag())
	return c.JSON(code, e)
}

// getEnvironment handles GET /environments/{env}.
func (p *Portal) getEnvironment(c echo.Context) error {
	e, err := p.environment(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	return okEnvironment(c, http.StatusOK, e)
}

// deleteEnvironmentHandler handles DELETE /environments/{env}.
func (p *Portal) deleteEnvironmentHandler(c echo.Context) error {
	revision, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	e, err := p.deleteEnvironment(c.Request().Context(), environmentOf(c), revision)
	if err != nil {
		return err
	}
	return okEnvironment(c, http.StatusAccepted, e)
}

// postUpgrade handles POST /environments/{env}/upgrade.
func (p *Portal) postUpgrade(c echo.Context) error {
	var u api.Upgrade
	if err := decode(c, &u); err != nil {
		return err
	}
	revision, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	e, err := p.upgradeEnvironment(c.Request().Context(), environmentOf(c), u.Release, revision)
	if err != nil {
		return err
	}
	return okEnvironment(c, http.StatusOK, e)
}

// getObjectStorage handles GET /environments/{env}/object-storage.
func (p *Portal) getObjectStorage(c echo.Context) error {
	ctx := c.Request().Context()
	e, err := p.store.Environment(ctx, environmentOf(c))
	if err != nil {
		return err
	}
	if err := p.store.Record(ctx, store.Act{Action: "storage credential read", Environment: e.ID}); err != nil {
		return err
	}
	o := api.ObjectStorage{Endpoint: p.opts.Cloud.Endpoints(e.ID).ObjectStorage, Region: chart.DefaultRegion, AccessKey: e.AccessKey, SecretKey: e.SecretKey}
	return ok(c, o.Revealed())
}

// getCA handles GET /environments/{env}/ca.
func (p *Portal) getCA(c echo.Context) error {
	e, err := p.store.Environment(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	attach(c, caFile)
	return c.Blob(http.StatusOK, pemType, []byte(p.opts.Cloud.Endpoints(e.ID).CA))
}

// getCredentials handles GET /environments/{env}/credentials.
func (p *Portal) getCredentials(c echo.Context) error {
	ctx := c.Request().Context()
	e, err := p.store.Environment(ctx, environmentOf(c))
	if err != nil {
		return err
	}
	out, err := p.opts.Cloud.Credentials(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("list credentials of environment %s: %w", e.ID, err)
	}
	return ok(c, notNil(out))
}

// getEngines handles GET /environments/{env}/engines.
func (p *Portal) getEngines(c echo.Context) error {
	ctx := c.Request().Context()
	e, err := p.store.Environment(ctx, environmentOf(c))
	if err != nil {
		return err
	}
	out, err := p.opts.Cloud.Engines(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("list engines of environment %s: %w", e.ID, err)
	}
	out = notNil(byReplica(out))
	for i := range out { // an engine may have told none
		out[i].Capabilities, out[i].Drivers = notNil(out[i].Capabilities), notNil(out[i].Drivers)
	}
	return ok(c, out)
}

func (p *Portal) environments(ctx context.Context) ([]api.Environment, error) {
	rows, err := p.store.Environments(ctx, identityOf(ctx).scope())
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	out := make([]api.Environment, len(rows))
	for i, e := range rows {
		out[i] = p.shown(e)
	}
	return out, nil
}

func (p *Portal) environment(ctx context.Context, id sim.EnvironmentID) (api.Environment, error) {
	e, err := p.store.Environment(ctx, id)
	if err != nil {
		return api.Environment{}, fmt.Errorf("get environment %s: %w", id, err)
	}
	return p.shown(e), nil
}

// shown is a row as people see it.
func (p *Portal) shown(e store.Environment) api.Environment {
	var steps []api.CreationStep
	if e.Phase == api.PhaseCreating {
		steps = p.progress.steps(e.ID)
	}
	return api.Environment{
		Steps: steps,
		ID:    e.ID, Name: e.Name, Location: e.Location, Release: e.Release, Tier: e.Tier, Phase: e.Phase, Created: e.Created, Revision: e.Revision,
		Usage: e.Usage, Endpoints: p.opts.Cloud.Endpoints(e.ID),
		Organisation: e.Organisation, Owner: e.Owner, Offering: e.Offering, Contract: e.Contract,
	}
}

func (p *Portal) createEnvironment(ctx context.Context, s api.EnvironmentSpec) (api.Environment, error) {
	who := identityOf(ctx)
	if s.Organisation == "" {
		s.Organisation = who.Organisation
	}
	if !who.sees(s.Organisation) {
		return api.Environment{}, api.InField("organisation", sim.Errorf(sim.NotFound, "there is no organisation %q", s.Organisation))
	}
	row, err := environmentRow(s)
	if err != nil {
		return api.Environment{}, err
	}
	p.opts.Conceal.Note(row.SecretKey)
	row.Owner = who.ID
	err = p.change(ctx, func() (sim.Event, error) {
		var err error
		if row, err = p.store.CreateEnvironment(ctx, row); err != nil {
			return sim.Event{}, fmt.Errorf("create environment %s: %w", row.ID, err)
		}
		return sim.Event{Environment: row.ID, What: environmentCreated, Detail: map[string]string{
			"name": row.Name, "cloud": row.Cloud, "region": row.Region, "release": string(row.Release), "tier": string(row.Tier),
		}}, nil
	})
	if err != nil {
		return api.Environment{}, err
	}
	p.mu.Lock()
	p.owners[row.ID] = ownership{row.Organisation, row.Created}
	p.mu.Unlock()
	return p.shown(row), nil
}

// environmentRow checks s, fills in what it leaves open and generates the operator's credential.
func environmentRow(s api.EnvironmentSpec) (store.Environment, error) {
	e := store.Environment{
		Organisation: s.Organisation, Offering: cmp.Or(s.Offering, api.OfferingEnterprise),
		Contract: api.EnvironmentContract{Engines: s.EnginesAllowed, Replicas: s.ReplicasAllowed, ExceptionalSizing: s.ExceptionalSizing},
	}
	if !slices.Contains(api.Offerings(), e.Offering) {
		return e, api.InField("offering", sim.Errorf(sim.Invalid, "there is no offering tier %.40q", string(e.Offering)).WithHelp("the offering tiers are %v", api.Offerings()))
	}
	for field, n := range map[string]int{"engines_allowed": s.EnginesAllowed, "replicas_allowed": s.ReplicasAllowed} {
		if n < 0 {
			return e, api.InField(field, sim.Errorf(sim.Invalid, "a contract cannot allow fewer than no engines or replicas").WithHelp("give positive numbers, or 0 for those of the organisation"))
		}
	}
	var err error
	if e.Name, err = checkName(s.Name); err != nil {
		return e, err
	}
	if e.ID, err = sim.EnvironmentIDFromName(e.Name); err != nil {
		return e, api.InField("name", err)
	}
	if e.Location, err = location(s.Cloud, s.Region); err != nil {
		return e, api.InField("region", err)
	}
	releases := chart.Releases()
	if e.Release = s.Release; e.Release == "" {
		e.Release = releases[len(releases)-1]
	}
	if err := checkRelease(e.Release); err != nil {
		return e, err
	}
	if e.Tier = s.Tier; e.Tier == "" {
		e.Tier = sim.TierS
	}
	if _, err := e.Tier.Sizing(); err != nil {
		return e, api.InField("tier", err)
	}
	e.AccessKey, e.SecretKey = storageCredential("OPER")
	return e, nil
}

// checkName gives a name without the space around it. It returns Invalid for one that cannot be shown in one short line.
func checkName(s string) (string, error) {
	s, err := line(s)
	return s, api.InField("name", err)
}

func line(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", sim.Errorf(sim.Invalid, "the name is missing").WithHelp("give a name")
	case utf8.RuneCountInString(s) > maxName:
		return "", sim.Errorf(sim.Invalid, "the name is longer than %d characters", maxName).WithHelp("use a shorter one")
	case !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", sim.Errorf(sim.Invalid, "the name has characters that cannot be printed").WithHelp("use letters, digits and spaces")
	}
	return s, nil
}

// location gives the offered location that fits; empty parts fit all.
func location(cloud, region string) (api.Location, error) {
	var names []string
	for _, l := range api.Locations() {
		if (cloud == "" || l.Cloud == cloud) && (region == "" || l.Region == region) {
			return l, nil
		}
		names = append(names, l.Cloud+"/"+l.Region)
	}
	return api.Location{}, sim.Errorf(sim.Invalid, "there is no location %s/%s", cloud, region).WithHelp("the locations are %s", strings.Join(names, ", "))
}

func checkRelease(r sim.Release) error {
	if _, err := sim.ParseRelease(string(r)); err != nil {
		return api.InField("release", err)
	}
	if !slices.Contains(chart.Releases(), r) {
		return api.InField("release", sim.Errorf(sim.Invalid, "release %s is not in the catalogue", r).WithHelp("the releases are %v", chart.Releases()))
	}
	return nil
}

func (p *Portal) deleteEnvironment(ctx context.Context, id sim.EnvironmentID, revision int64) (api.Environment, error) {
	var row store.Environment
	err := p.change(ctx, func() (sim.Event, error) {
		e, changed, err := p.store.DeleteEnvironment(ctx, id, revision)
		if err != nil {
			return sim.Event{}, fmt.Errorf("delete environment %s: %w", id, err)
		}
		if row = e; !changed {
			return sim.Event{}, nil
		}
		return sim.Event{Environment: id, What: environmentDeleting}, nil
	})
	if err != nil {
		return api.Environment{}, err
	}
	return p.shown(row), nil
}

func (p *Portal) upgradeEnvironment(ctx context.Context, id sim.EnvironmentID, r sim.Release, revision int64) (api.Environment, error) {
	if err := checkRelease(r); err != nil {
		return api.Environment{}, err
	}
	var row store.Environment
	err := p.change(ctx, func() (sim.Event, error) {
		before, after, err := p.store.UpgradeEnvironment(ctx, id, r, revision)
		if err != nil {
			return sim.Event{}, fmt.Errorf("upgrade environment %s: %w", id, err)
		}
		row = after
		return sim.Event{Environment: id, What: environmentUpgraded, Detail: map[string]string{"from": string(before.Release), "to": string(after.Release)}}, nil
	})
	if err != nil {
		return api.Environment{}, err
	}
	return p.shown(row), nil
}

// notNil has an empty list stand as [] in JSON.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
