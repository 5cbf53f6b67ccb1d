// Package pagetest opens pages of a portal as a browser does, with all that they load, and counts what goes over the wire.
package pagetest

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/html"
)

// Browser is somebody's browser. It keeps cookies, what may be kept of style sheets, scripts and pictures, and connections.
// It is not safe for concurrent use.
type Browser struct {
	base   string
	client *http.Client
	pipes  *http.Transport
	read   atomic.Int64
	mu     sync.Mutex
	kept   map[string]kept // by path
}

// kept is what a browser has in its cache.
type kept struct {
	tag   string // to ask with whether it is still so
	fresh bool   // need not be asked for
}

// Visit is what opening a page was.
type Visit struct {
	Status   int
	Body     string // of the page
	Requests int    // for the page and all that it loads
	Bytes    int64  // that came from the portal for it, headers and all
	Page     int64  // the same, of the page alone
}

// New gives a browser that has seen nothing yet. base is the portal's address.
func New(base string) *Browser {
	b := &Browser{base: base}
	b.pipes = &http.Transport{MaxConnsPerHost: 6, DisableCompression: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return counted{c, &b.read}, nil
	}}
	jar, _ := cookiejar.New(nil) // never fails
	b.client = &http.Client{Transport: b.pipes, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	b.Forget()
	return b
}

// Forget empties the cache and ends connections; cookies stay.
func (b *Browser) Forget() {
	b.kept = map[string]kept{}
	b.pipes.CloseIdleConnections()
}

// SignIn signs a demo user in.
func (b *Browser) SignIn(ctx context.Context, user string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+"/sign-in", strings.NewReader(url.Values{"pick": {user}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.client.Do(r)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSeeOther {
		err = fmt.Errorf("sign-in of %s is answered with %s", user, res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

// Open opens a page and what it loads that is not in the cache.
func (b *Browser) Open(ctx context.Context, path string) (Visit, error) {
	before := b.read.Load()
	v := Visit{Requests: 1}
	var err error
	if v.Status, v.Body, err = b.get(ctx, path); err != nil {
		return v, err
	}
	v.Page = b.read.Load() - before
	all, err := loads(v.Body)
	if err != nil {
		return v, err
	}
	failed := make([]error, len(all))
	var wg sync.WaitGroup
	for i, asset := range all {
		if b.cached(asset).fresh {
			continue
		}
		v.Requests++
		wg.Go(func() {
			status, _, err := b.get(ctx, asset)
			if err == nil && status != http.StatusOK && status != http.StatusNotModified {
				err = fmt.Errorf("%s is answered with %d", asset, status)
			}
			failed[i] = err
		})
	}
	wg.Wait()
	v.Bytes = b.read.Load() - before
	return v, errors.Join(failed...)
}

// cached gives what the cache knows of a path.
func (b *Browser) cached(path string) kept {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept[path]
}

// get asks for a path, with what the cache knows of it, and keeps what may be kept.
func (b *Browser) get(ctx context.Context, path string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Accept-Encoding", "gzip")
	has := b.cached(path)
	if has.tag != "" {
		r.Header.Set("If-None-Match", has.tag)
	}
	res, err := b.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	var from io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		if from, err = gzip.NewReader(res.Body); err != nil {
			return 0, "", err
		}
	}
	text, err := io.ReadAll(from)
	if rule := res.Header.Get("Cache-Control"); !strings.Contains(rule, "no-store") && res.StatusCode == http.StatusOK {
		b.mu.Lock()
		b.kept[path] = kept{res.Header.Get("ETag"), strings.Contains(rule, "immutable")}
		b.mu.Unlock()
	}
	return res.StatusCode, string(text), err
}

// loads lists what a browser fetches for a page: style sheets, scripts, pictures and the icon, each once.
func loads(page string) ([]string, error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, err
	}
	var out []string
	seen := map[string]bool{}
	for n := range root.Descendants() {
		attribute := map[string]string{"link": "href", "script": "src", "img": "src"}[n.Data]
		if n.Type != html.ElementNode || attribute == "" {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == attribute && a.Val != "" && !seen[a.Val] {
				seen[a.Val] = true
				out = append(out, a.Val)
			}
		}
	}
	return out, nil
}

// counted is a connection whose bytes are counted as they come.
type counted struct {
	net.Conn
	n *atomic.Int64
}

// Read reads on and counts.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}
