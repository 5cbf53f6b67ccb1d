package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// httpCall is what `http` is told.
type httpCall struct {
	data    string
	headers []string
	include bool
	status  int
	caCert  string
	timeout time.Duration
}

func newHTTPCommand(a *app) *cobra.Command {
	var h httpCall
	cmd := &cobra.Command{
		Use:   "http [METHOD] URL",
		Short: "Send an HTTP request, and print the answer's body",
		Long: `Send an HTTP request, and print the answer's body. METHOD is GET, or POST with --data. A URL that begins with / is the portal's. The
simulator's names are found and its certificates trusted, without hosts file or proxy.

An answer of 400 or more is a failure, unless --status expects it. Redirects are not followed. Your token for the portal goes to the portal itself
and nowhere else; -H 'Authorization:' leaves it out.`,
		Example: `  dpesim http /api/v1/environments
  dpesim http POST /api/v1/environments -d '{"name": "Acme"}'
  dpesim http /api/v1/environments -H 'Authorization:' --status 401
  dpesim dpe list acme -o json | dpesim http PUT https://example.org/dpes -d @-`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usage(fmt.Errorf("usage: %s; got %d arguments: see '%s --help'", cmd.UseLine(), len(args), cmd.CommandPath()))
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&h.data, "data", "d", "", "body of the request: text, @FILE, or @- for the standard input")
	fl.StringArrayVarP(&h.headers, "header", "H", nil, `header as "NAME: VALUE", or @FILE with a header in each line, which keeps secrets off the command line; without a value it is left out; may be repeated`)
	fl.BoolVarP(&h.include, "include", "i", false, "print the status and the headers before the body")
	fl.IntVar(&h.status, "status", 0, "succeed with this status, and no other")
	fl.StringVar(&h.caCert, "cacert", "", "file with certificates (PEM) to trust (default: the simulator's CA), beside the system's")
	fl.DurationVar(&h.timeout, "timeout", 30*time.Second, "how long the whole may take; 0: as long as it likes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if h.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, h.timeout)
			defer cancel()
		}
		method := http.MethodGet
		if cmd.Flags().Changed("data") {
			method = http.MethodPost
		}
		if len(args) == 2 {
			method = strings.ToUpper(args[0])
		}
		err := a.http(ctx, &h, method, args[len(args)-1])
		if cmd.Context().Err() == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return sim.Errorf(sim.Unavailable, "there was no whole answer in %s", h.timeout).WithHelp("wait longer (--timeout)")
		}
		return err
	}
	return cmd
}

// http sends a request and prints the answer.
func (a *app) http(ctx context.Context, h *httpCall, method, target string) error {
	portal, known := a.client() // without a simulator, other URLs still work
	if strings.HasPrefix(target, "/") {
		if known != nil {
			return known
		}
		target = strings.TrimSuffix(portal.BaseURL, "/") + target
	}
	body, err := a.httpBody(h.data)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil || req.URL.Host == "" || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return usage(sim.Errorf(sim.Invalid, "this is no request: method %q, URL %q", method, redacted(target)).
			WithHelp("give the URL as http://HOST/PATH, https://HOST/PATH or /PATH, and the method before it"))
	}
	if err := a.httpHeaders(req, h, body, portal, known == nil); err != nil {
		return err
	}
	pem, what, err := a.httpCA(h.caCert)
	if err != nil {
		return err
	}
	roots, err := rootsOf(pem, what)
	if err != nil {
		return err
	}
	res, err := transport(roots).RoundTrip(req)
	if err != nil {
		return &sim.Error{Kind: sim.Unavailable, Msg: fmt.Sprintf("%s %s: no answer: %v", method, req.URL.Redacted(), err), Help: "check the address, and that dpesim is up", Err: err}
	}
	if h.include {
		fmt.Fprintf(a.Stdout, "%s %s\n", res.Proto, res.Status)
		for _, name := range slices.Sorted(maps.Keys(res.Header)) {
			for _, value := range res.Header[name] {
				fmt.Fprintf(a.Stdout, "%s: %s\n", name, value)
			}
		}
		fmt.Fprintln(a.Stdout)
	}
	_, err = io.Copy(a.Stdout, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, req.URL.Redacted(), err)
	}
	return judge(h.status, method, req.URL, res)
}

// judge tells whether an answer is the one that is wanted.
func judge(want int, method string, u *url.URL, res *http.Response) error {
	switch {
	case want != 0 && res.StatusCode != want:
		return fmt.Errorf("%s %s: the answer is %s, not %d", method, u.Redacted(), res.Status, want)
	case want == 0 && res.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("%s %s: the answer is %s", method, u.Redacted(), res.Status)
	}
	return nil
}

// redacted gives a URL that may be none without a password.
func redacted(target string) string {
	if u, err := url.Parse(target); err == nil {
		return u.Redacted()
	}
	return "(it cannot be read)"
}

// httpBody gives what --data names.
func (a *app) httpBody(data string) ([]byte, error) {
	name, file := strings.CutPrefix(data, "@")
	switch {
	case !file:
		return []byte(data), nil
	case name == "-":
		return io.ReadAll(a.Stdin)
	}
	b, err := os.ReadFile(a.path(name))
	if err != nil {
		return nil, usage(sim.Errorf(sim.Invalid, "the body cannot be read: %v", err))
	}
	return b, nil
}

// httpHeaders gives req its headers: what was asked for, and for the portal alone who asks.
func (a *app) httpHeaders(req *http.Request, h *httpCall, body []byte, portal *api.Client, known bool) error {
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/octet-stream")
		if json.Valid(body) {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	if known && a.isPortal(req.URL, portal.BaseURL) {
		if portal.Token != "" {
			req.Header.Set("Authorization", "Bearer "+portal.Token.Reveal())
		}
		if portal.As != "" {
			req.Header.Set(api.AsHeader, portal.As)
		}
	}
	for _, text := range h.headers {
		lines := []string{text}
		if name, file := strings.CutPrefix(text, "@"); file {
			b, err := os.ReadFile(a.path(name))
			if err != nil {
				return usage(sim.Errorf(sim.Invalid, "the headers cannot be read: %v", err))
			}
			lines = strings.Split(strings.TrimSpace(string(b)), "\n")
		}
		for _, line := range lines {
			name, value, ok := strings.Cut(line, ":")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if !ok || name == "" {
				return usage(sim.Errorf(sim.Invalid, "a header has no name").WithHelp(`write it as "NAME: VALUE"`)) // the line may be a secret
			}
			switch {
			case value == "":
				req.Header.Del(name)
			case strings.EqualFold(name, "Host"):
				req.Host = value
			default:
				req.Header.Set(name, value)
			}
		}
	}
	return nil
}

// isPortal tells whether u lies where the portal is, over HTTP or through the edge.
func (a *app) isPortal(u *url.URL, portal string) bool {
	origins := []string{portal}
	if e, err := a.endpoints(); err == nil && e.Portal == portal {
		origins = append(origins, e.PortalTLS)
	}
	return slices.ContainsFunc(origins, func(origin string) bool {
		o, err := url.Parse(origin)
		return err == nil && o.Scheme == u.Scheme && strings.EqualFold(o.Hostname(), u.Hostname()) && portOfURL(o) == portOfURL(u)
	})
}

func portOfURL(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// httpCA reads the certificates of --cacert, else of the simulator if there is one, and says whose they are.
func (a *app) httpCA(file string) (pem []byte, what string, err error) {
	e, _ := a.endpoints() // there may be none
	path := cmp.Or(file, e.CA, a.Getenv("DPESIM_CA"))
	if path == "" {
		return nil, "", nil // the system's alone are trusted
	}
	pem, err = os.ReadFile(a.path(path))
	if err != nil {
		return nil, "", usage(sim.Errorf(sim.Invalid, "the certificates to trust cannot be read: %v", err).WithHelp("name another file with --cacert"))
	}
	return pem, path, nil
}
