package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// cloud is what the portal sees of the services behind it.
type cloud struct{ *Stack }

var _ portal.Cloud = cloud{}

// Endpoints tells where an environment's services are reached.
func (c cloud) Endpoints(id sim.EnvironmentID) api.Endpoints {
	e := api.Endpoints{Registry: c.registryAt(), CA: string(c.ca.PEM())}
	if t := c.config.Target; t != nil {
		e.Address = t.Gateway.String()
	}
	if _, err := c.clouds.get(id); err == nil {
		e.DPM, e.ObjectStorage = c.urlOf(serviceDPM, id), c.urlOf(serviceStorage, id)
	}
	return e
}

// Engines lists the replicas that are connected now.
func (c cloud) Engines(_ context.Context, id sim.EnvironmentID) ([]api.Engine, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return nil, err
	}
	out := []api.Engine{}
	for _, x := range e.dpm.Load().Engines() {
		out = append(out, api.Engine{
			Label: x.Label, Replica: x.Replica, Version: x.Version, Capabilities: x.Capabilities, Drivers: x.Drivers,
			Slots: x.Slots, Running: x.Running, Revision: x.Revision, Remote: x.Remote, ConnectedAt: x.ConnectedAt, Draining: x.Draining, Managed: x.Label == api.ManagedLabel,
		})
	}
	return out, nil
}

// Credentials lists what the services of an environment honour now.
func (c cloud) Credentials(ctx context.Context, id sim.EnvironmentID) ([]api.Credential, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return nil, err
	}
	out := []api.Credential{}
	components, err := e.dpm.Load().Components(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range components {
		out = append(out, api.Credential{Kind: api.CredentialDPMKey, ID: string(x.Key), Label: x.Label})
	}
	keys, err := e.storage.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range keys {
		out = append(out, api.Credential{Kind: api.CredentialStorage, ID: x.AccessKey, Label: x.Label})
	}
	tokens, err := c.registry.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range tokens {
		if x.Environment == id {
			out = append(out, api.Credential{Kind: api.CredentialRegistry, ID: x.User, Label: x.Label})
		}
	}
	return out, nil
}

// SubmitJob hands a job to the environment's DPM.
func (c cloud) SubmitJob(ctx context.Context, id sim.EnvironmentID, s api.JobSpec) (api.Job, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return api.Job{}, err
	}
	j, err := e.dpm.Load().Submit(ctx, dpm.JobSpec{
		Type: string(s.Kind), Source: dpm.Source{Bucket: s.Bucket, Key: s.Key}, Label: s.Label, MaxRecords: s.MaxRecords,
	})
	return job(j), err
}

// Job gives one job of an environment.
func (c cloud) Job(ctx context.Context, env sim.EnvironmentID, id sim.JobID) (api.Job, error) {
	e, err := c.clouds.get(env)
	if err != nil {
		return api.Job{}, err
	}
	j, err := e.dpm.Load().Job(ctx, id)
	return job(j), err
}

// Jobs lists an environment's jobs, newest first.
func (c cloud) Jobs(ctx context.Context, id sim.EnvironmentID, f api.JobFilter) ([]api.Job, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return nil, err
	}
	wanted := dpm.JobFilter{Before: f.Before, Limit: f.Limit, Newest: true}
	if f.State != "" {
		wanted.States = []dpm.State{dpm.State(f.State)}
	}
	jobs, err := e.dpm.Load().Jobs(ctx, wanted)
	if err != nil {
		return nil, err
	}
	out := make([]api.Job, len(jobs))
	for i, j := range jobs {
		out[i] = job(j)
	}
	return out, nil
}

// job is the portal's view of a job.
func job(j dpm.Job) api.Job {
	out := api.Job{
		ID:    j.ID,
		Spec:  api.JobSpec{Kind: api.JobKind(j.Spec.Type), Bucket: j.Spec.Source.Bucket, Key: j.Spec.Source.Key, Label: j.Spec.Label, MaxRecords: j.Spec.MaxRecords},
		State: api.JobState(j.State), Attempt: j.Attempt, Engine: j.Replica, Label: j.Label, Summary: j.Summary, Reason: j.Reason,
		Created: j.SubmittedAt, Started: moment(j.StartedAt), Finished: moment(j.EndedAt),
	}
	if r := j.Result; r != nil {
		out.Result = &api.Object{Bucket: r.Bucket, Key: r.Key, SHA256: r.SHA256, SizeBytes: r.Size}
	}
	return out
}

// moment gives nil for a time that has not come.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// RestartDPM stops an environment's DPM and starts it again.
func (c cloud) RestartDPM(ctx context.Context, id sim.EnvironmentID) error {
	return c.clouds.restartDPM(ctx, id)
}

// Health tells how the services of an environment are, by a TLS handshake through the edge, from inside the cloud.
func (c cloud) Health(ctx context.Context, env sim.EnvironmentID) []api.Check {
	return []api.Check{
		c.answers(ctx, "DPM", c.hostOf(serviceDPM, env)),
		c.answers(ctx, "Object storage", c.hostOf(serviceStorage, env)),
	}
}

// Ready tells how each part is: what is behind the edge by a TLS handshake through it, from inside the cloud.
func (c cloud) Ready(ctx context.Context) []api.Check {
	out := []api.Check{
		check("cluster", c.clusterReady()),
		c.answers(ctx, "registry", c.hostOfRegistry()),
		check("environments", c.reconciler.failure()),
	}
	for _, id := range c.clouds.ids() {
		for _, service := range []string{serviceDPM, serviceStorage} {
			host := c.hostOf(service, id)
			out = append(out, c.answers(ctx, host, host))
		}
	}
	return out
}

func check(name string, err error) api.Check {
	if err != nil {
		return api.Check{Name: name, Detail: err.Error()}
	}
	return api.Check{Name: name, OK: true}
}

func (c cloud) clusterReady() error {
	select {
	case <-c.cluster.Ready():
		return nil
	default:
		return errors.New("its node is not ready yet")
	}
}

// answers tells whether what is called name answers at host.
func (c cloud) answers(ctx context.Context, name, host string) api.Check {
	until, err := c.shakeHands(ctx, host)
	out := check(name, err)
	out.CertificateExpires = moment(until)
	return out
}

// shakeHands makes sure that host answers behind the edge with the certificate that it should have, and tells when that
// expires.
func (c cloud) shakeHands(ctx context.Context, host string) (until time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := c.inside.DialContext(ctx, "tcp", net.JoinHostPort(host, c.edgePort()))
	if err != nil {
		return until, err
	}
	defer func() { _ = conn.Close() }()
	secure := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: c.ca.Pool(), Time: c.config.Clock.Now, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		return until, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure.ConnectionState().PeerCertificates[0].NotAfter, nil
}

// handshakeTimeout bounds one readiness check, in the machine's time. All of it is in this process: it takes a millisecond,
// and on a machine that is busy with other things a second may not be enough.
const handshakeTimeout = 10 * time.Second
