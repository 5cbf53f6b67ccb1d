package portal

import (
	"context"
	"fmt"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// values writes a DPE's values.yaml: the current one if release is empty, else the last that was generated for that
// release. It holds secrets.
func (p *Portal) values(ctx context.Context, env sim.EnvironmentID, l sim.Label, release sim.Release) ([]byte, error) {
	e, d, err := p.store.DPE(ctx, env, l)
	if err != nil {
		return nil, fmt.Errorf("values of DPE %s: %w", l, err)
	}
	number, in := d.Revision, d.Inputs
	if release != "" && release != d.Release {
		if err := checkRelease(release); err != nil {
			return nil, err
		}
		if number, in, err = p.store.LastRevision(ctx, d, release); err != nil {
			return nil, fmt.Errorf("values of DPE %s for release %s: %w", l, release, err)
		}
	}
	return p.write(ctx, e, d, number, in)
}

// write writes the values.yaml of a revision of d.
func (p *Portal) write(ctx context.Context, e store.Environment, d store.DPE, number int64, in store.Inputs) ([]byte, error) {
	o, err := p.store.Organisation(ctx, e.Organisation)
	if err != nil {
		return nil, fmt.Errorf("read organisation: %w", err)
	}
	at := p.opts.Cloud.Endpoints(e.ID)
	b, err := chart.Values{
		Release: in.Release, Environment: e.ID, Label: d.Label, Tier: e.Tier, Sizing: in.Sizing, Replicas: in.Replicas, Drivers: in.Drivers, Revision: number,
		DPMURL: at.DPM, ObjectStorageURL: at.ObjectStorage, AccessKey: d.AccessKey, SecretKey: d.SecretKey,
		Registry: at.Registry, RegistryUser: d.RegistryUser, RegistryToken: d.RegistryToken, Key: d.Key, CA: []byte(at.CA), Address: at.Address,
		Licence: chart.Licence{Organisation: o.Name, Environment: e.Name, Replicas: e.Contract.Replicas, Expires: o.Licence.Expires},
	}.YAML()
	if err != nil {
		return nil, fmt.Errorf("write values of DPE %s: %w", d.Label, err)
	}
	return b, nil
}
