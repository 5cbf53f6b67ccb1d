package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Variable is the environment variable in which the pod finds what it shall try.
const Variable = "DPESIM_PROBE"

// Command are the words of dpesim that the pod runs: [Answer].
func Command() []string { return []string{"cluster", "probe"} }

// Target is what a pod shall reach.
type Target struct {
	Name string `json:"name"` // for people: "DPM of Acme"
	Addr string `json:"addr"` // host:port
	TLS  bool   `json:"tls"`  // a handshake in the host's name, too
}

// Row is one thing that was tried.
type Row struct {
	Name    string `json:"name"`              // the target's, or "pod"
	Tried   string `json:"tried"`             // in words
	OK      bool   `json:"ok"`                // whether it went well
	Problem string `json:"problem,omitempty"` // what went wrong, in the words of whoever said so
	Help    string `json:"help,omitempty"`    // what to do about it
}

// question is what the pod is asked.
type question struct {
	Targets []Target `json:"targets"`
	CA      string   `json:"ca"` // PEM; empty: the image's authorities alone
}

// DialFunc opens a connection on behalf of the pod.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// eachTimeout bounds what one target may take, in machine time: less than a person waits before thinking of a firewall.
const eachTimeout = 5 * time.Second

// Answer tries, all at once, what the question asks, the value of [Variable], and writes a row of JSON for each target, in
// their order. dial is nil but in the cluster in the process. It returns Invalid if there is no question.
func Answer(ctx context.Context, asked string, dial DialFunc, out io.Writer) error {
	var q question
	if err := json.Unmarshal([]byte(asked), &q); err != nil || len(q.Targets) == 0 {
		return sim.Errorf(sim.Invalid, "there is nothing to try: %s has no targets", Variable).WithHelp("this command is run by the simulator, in a pod")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM([]byte(q.CA))
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	rows := make([]Row, len(q.Targets))
	var all sync.WaitGroup
	for i, t := range q.Targets {
		all.Go(func() { rows[i] = t.try(ctx, roots, dial) })
	}
	all.Wait()
	w := json.NewEncoder(out)
	for _, r := range rows {
		if err := w.Encode(r); err != nil {
			return fmt.Errorf("write what was tried: %w", err)
		}
	}
	return nil
}

func (t Target) try(ctx context.Context, roots *x509.CertPool, dial DialFunc) Row {
	ctx, cancel := context.WithTimeout(ctx, eachTimeout)
	defer cancel()
	row := Row{Name: t.Name, Tried: "connect to " + t.Addr}
	c, err := dial(ctx, "tcp", t.Addr)
	if err != nil {
		row.Problem, row.Help = err.Error(), t.remedy(err)
		return row
	}
	defer func() { _ = c.Close() }()
	if t.TLS {
		host, _, _ := net.SplitHostPort(t.Addr)
		row.Tried += ", TLS as " + host
		if err := tls.Client(c, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx); err != nil {
			row.Problem, row.Help = "TLS with "+c.RemoteAddr().String()+": "+err.Error(), t.remedy(err)
			return row
		}
	}
	row.OK = true
	return row
}

// remedy tells what to do where a target was not reached.
func (t Target) remedy(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "pods do not resolve this name: give them its address by the value hostAliases of the chart, or a record in a DNS that they ask"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "another certificate came than the simulator's: does a proxy on the way open TLS, or does something else listen at that address?"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for other names: does something else listen at that address?"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" || errors.Is(err, io.EOF) { // crypto/tls calls an alert so
		return "something answers there that does not know this name: is that address the one of this simulator?"
	}
	return "pods do not get there: do firewalls, network policies and routes let the cluster reach this machine at that port?"
}

// answers reads what [Answer] wrote. Lines of others are passed over.
func answers(log []byte) []Row {
	var out []Row
	for line := range bytes.Lines(log) {
		var r Row
		if json.Unmarshal(line, &r) == nil && r.Tried != "" {
			out = append(out, r)
		}
	}
	return out
}

// refused tells whether a registry did not honour the login, by the words that a kubelet has.
func refused(words string) bool {
	words = strings.ToLower(words)
	return strings.Contains(words, "unauthorized") || strings.Contains(words, "authorization failed")
}

// pullRemedy tells what to do where a node did not get the image, by the words that its kubelet has.
func pullRemedy(words string) string {
	words = strings.ToLower(words)
	for _, r := range []struct{ sign, help string }{
		{"no such host", "the nodes do not resolve the registry's name: advertise an address (--advertise), or give them a record"},
		{"unknown authority", "the nodes do not trust the simulator's authority: see 'what nodes must trust' in docs/clusters.md"},
		{"certificate", "the nodes do not trust the registry's certificate: see 'what nodes must trust' in docs/clusters.md"},
		{"connection refused", "the nodes do not get to the registry: does the simulator listen at that address, and does the firewall let them?"},
		{"timeout", "the nodes do not get to the registry: do firewalls and routes let them reach this machine at that port?"},
		{"no route to host", "the nodes do not get to the registry: do firewalls and routes let them reach this machine at that port?"},
		{"no match for platform", "the image has no program for the nodes' platform: name one with --image-binary"},
		{"unauthorized", "the pull token is not honoured: get a new one, and put it into the pull secret"},
		{"authorization failed", "the pull token is not honoured, or there is no pull secret: get a token, and put it into the pull secret"},
		{"denied", "the pull token does not allow this image: is it this simulator's?"},
		{"not found", "the registry does not have this image: is it this simulator's?"},
	} {
		if strings.Contains(words, r.sign) {
			return r.help
		}
	}
	return "these are the words of the node's kubelet: look at the node's container runtime"
}
