package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// firstProbe is the pause after a probe's first failure. Until a container is ready or started for the first time, its
// probe is repeated quickly, with a pause that doubles up to the probe's period: our choice, so that nobody waits ten
// seconds for what took fifty milliseconds. Failures of that time are no news: they make no event and are not counted.
const firstProbe = 50 * time.Millisecond

// probeAll probes a running container as its specification says, until ctx is done. unhealthy is called once it must be
// restarted.
func (c *container) probeAll(ctx context.Context, unhealthy func()) {
	if p := c.spec.StartupProbe; p != nil {
		started := false
		c.probe(ctx, "Startup", p, true, func(ok bool) bool {
			if !ok {
				unhealthy()
			}
			started = ok
			return false
		})
		if !started {
			return
		}
	}
	c.set(func() { c.started, c.ready = true, c.spec.ReadinessProbe == nil })
	var both sync.WaitGroup
	defer both.Wait()
	if p := c.spec.LivenessProbe; p != nil {
		both.Go(func() {
			c.probe(ctx, "Liveness", p, false, func(ok bool) bool {
				if !ok {
					unhealthy()
				}
				return ok
			})
		})
	}
	if p := c.spec.ReadinessProbe; p != nil {
		both.Go(func() {
			c.probe(ctx, "Readiness", p, true, func(ok bool) bool {
				c.set(func() { c.ready = ok })
				return true
			})
		})
	}
}

// probe repeats one probe until ctx is done or verdict returns false. verdict hears each success and each failure that
// reached the probe's threshold.
func (c *container) probe(ctx context.Context, kind string, p *corev1.Probe, quick bool, verdict func(ok bool) bool) {
	clock := c.pod.agent.clock
	period := time.Duration(max(p.PeriodSeconds, 1)) * time.Second
	pause := firstProbe
	if clock.Sleep(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) != nil {
		return
	}
	for successes, failures := int32(0), int32(0); ; {
		err := c.ask(ctx, p)
		if ctx.Err() != nil {
			return
		}
		wait := period
		switch {
		case err == nil:
			quick = false
			failures = 0
			if successes++; successes >= max(p.SuccessThreshold, 1) && !verdict(true) {
				return
			}
		case quick && pause < period:
			wait, pause = pause, 2*pause
		default:
			successes = 0
			c.warn("Unhealthy", "%s probe failed: %v", kind, err)
			if failures++; failures >= max(p.FailureThreshold, 1) && !verdict(false) {
				return
			}
		}
		if clock.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// ask probes once; an error is a failed probe.
func (c *container) ask(ctx context.Context, p *corev1.Probe) error {
	timeout := time.Duration(max(p.TimeoutSeconds, 1)) * time.Second
	ctx, cancel := c.pod.agent.clock.WithTimeout(ctx, timeout)
	defer cancel()
	if p.HTTPGet != nil {
		return c.get(ctx, p.HTTPGet)
	}
	port, err := c.port(p.TCPSocket.Port)
	if err != nil {
		return err
	}
	conn, err := c.pod.agent.network.dial(ctx, netip.AddrPortFrom(c.pod.ip, port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func (c *container) get(ctx context.Context, g *corev1.HTTPGetAction) error {
	port, err := c.port(g.Port)
	if err != nil {
		return err
	}
	ref, err := url.Parse(g.Path)
	if err != nil {
		return fmt.Errorf("path of the probe: %w", err)
	}
	to := netip.AddrPortFrom(c.pod.ip, port)
	ref.Scheme, ref.Host = strings.ToLower(string(g.Scheme)), to.String()
	if ref.Scheme == "" {
		ref.Scheme = "http"
	}
	if !strings.HasPrefix(ref.Path, "/") {
		ref.Path = "/" + ref.Path
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ref.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "kube-probe/dpesim")
	for _, h := range g.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			r.Host = h.Value
		}
		r.Header.Set(h.Name, h.Value)
	}
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // probes do not verify, Kubernetes neither
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return c.pod.agent.network.dial(ctx, to)
			},
		},
	}
	resp, err := client.Do(r)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("Get %q: context deadline exceeded (Client.Timeout exceeded while awaiting headers)", ref.Redacted()) //nolint:staticcheck // Kubernetes' own words
	}
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<10)) // what it says is not asked
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", resp.StatusCode)
	}
	return nil
}

// port resolves a port that may be given by the name of a container port.
func (c *container) port(p intstr.IntOrString) (uint16, error) {
	n := p.IntValue()
	if p.Type == intstr.String {
		for _, cp := range c.spec.Ports {
			if cp.Name == p.StrVal {
				n = int(cp.ContainerPort)
			}
		}
	}
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("port %s of the probe is no port of container %s", strconv.Quote(p.String()), c.spec.Name)
	}
	return uint16(n), nil
}
