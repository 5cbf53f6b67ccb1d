package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// mostManifest is the largest manifest that is taken, in bytes, and mostConfig the largest configuration.
	// Source: containerd, MaxManifestSize; OCI distribution spec, "Pushing manifests".
	mostManifest = 4 << 20
	mostConfig   = 4 << 20
	// accept is what this node can read: what containerd asks for.
	accept = string(types.DockerManifestSchema2) + ", " + string(types.DockerManifestList) + ", " +
		string(types.OCIManifestSchema1) + ", " + string(types.OCIImageIndex) + ", */*"
)

// errNotFound ends the sentence about what a registry does not have.
var errNotFound = errors.New("not found")

// Image is an image that a node has.
type Image struct {
	Name   string    // in full, as it was asked for
	ID     string    // repository@digest of what the name led to: a manifest or an index
	Size   int64     // of manifest, configuration and layers, in bytes
	Config v1.Config // how it is to be run
}

// Puller fetches images. Its zero value needs Client. It is safe for concurrent use.
type Puller struct {
	Client   *http.Client // see [NewClient]
	Platform v1.Platform  // OS and Architecture to choose from an index
}

// Pull fetches an image with a credential. Errors are in the words of containerd 2.4 and hold no secret.
func (p *Puller) Pull(ctx context.Context, n Name, c Credential) (*Image, error) {
	s := &session{client: p.Client, name: n, credential: c, scheme: "https"}
	fail := func(err error) (*Image, error) {
		words := fmt.Sprintf("failed to pull and unpack image %q: %v", n, err)
		if errors.Is(err, errNotFound) { // the one error that comes with its gRPC code
			words = "rpc error: code = NotFound desc = " + words
		}
		return nil, errors.New(words)
	}
	digest, err := s.resolve(ctx)
	if err != nil {
		return fail(fmt.Errorf("failed to resolve image: %w", err))
	}
	img := &Image{Name: n.String(), ID: n.repository() + "@" + digest.String()}
	manifest, err := s.manifest(ctx, digest, p.Platform, &img.Size)
	if err != nil {
		return fail(err)
	}
	raw, err := s.get(ctx, "blobs", manifest.Config.Digest, mostConfig)
	if err != nil {
		return fail(fmt.Errorf("failed to copy: %w", err))
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return fail(fmt.Errorf("failed to read the image's configuration: %w", err))
	}
	img.Config = config.Config
	img.Size += manifest.Config.Size
	for _, l := range manifest.Layers {
		img.Size += l.Size
	}
	return img, nil
}

// manifest gets the manifest that digest leads to on a platform, and adds up what is read on the way.
func (s *session) manifest(ctx context.Context, digest v1.Hash, on v1.Platform, size *int64) (*v1.Manifest, error) {
	raw, err := s.get(ctx, "manifests", digest, mostManifest)
	if err != nil {
		return nil, fmt.Errorf("failed to copy: %w", err)
	}
	*size += int64(len(raw))
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("failed to read manifest %s: %w", digest, err)
	}
	if len(index.Manifests) == 0 {
		m, err := v1.ParseManifest(bytes.NewReader(raw))
		if err != nil || m.Config.Digest.Hex == "" {
			return nil, fmt.Errorf("manifest %s is not that of an image", digest)
		}
		return m, nil
	}
	for _, d := range index.Manifests {
		if d.MediaType.IsIndex() || d.Platform != nil && !d.Platform.Satisfies(on) {
			continue
		}
		return s.manifest(ctx, d.Digest, on, size)
	}
	return nil, fmt.Errorf("no match for platform in manifest %s: %w", digest, errNotFound)
}

// session is one pull.
type session struct {
	client        *http.Client
	name          Name
	credential    Credential
	scheme        string
	authorization string // the header that the registry wants, "" as long as none
}

// resolve finds the digest that the name stands for.
func (s *session) resolve(ctx context.Context) (v1.Hash, error) {
	version, pinned := s.name.version()
	res, err := s.do(ctx, http.MethodHead, "manifests", version)
	if err != nil {
		if errors.Is(err, errAuthorization) {
			err = fmt.Errorf("pull access denied, repository does not exist or may require authorization: %w", err)
		}
		return v1.Hash{}, err
	}
	defer res.Body.Close() //nolint:errcheck // it is empty
	switch {
	case res.StatusCode == http.StatusNotFound:
		return v1.Hash{}, fmt.Errorf("%s: %w", s.name, errNotFound)
	case res.StatusCode > 299:
		return v1.Hash{}, unexpected(res)
	case pinned:
		return v1.NewHash(version)
	}
	if h := res.Header.Get("Docker-Content-Digest"); h != "" {
		return v1.NewHash(h)
	}
	got, err := s.do(ctx, http.MethodGet, "manifests", version)
	if err != nil {
		return v1.Hash{}, err
	}
	defer got.Body.Close() //nolint:errcheck // what was read has been read
	if got.StatusCode > 299 {
		return v1.Hash{}, unexpected(got)
	}
	digest, _, err := v1.SHA256(io.LimitReader(got.Body, mostManifest))
	return digest, err
}

// get gets content by its digest, and checks it.
func (s *session) get(ctx context.Context, kind string, digest v1.Hash, most int64) ([]byte, error) {
	res, err := s.do(ctx, http.MethodGet, kind, digest.String())
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // what was read has been read
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("content at %s not found: %w", res.Request.URL.Redacted(), errNotFound)
	case res.StatusCode > 299:
		return nil, unexpected(res)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read expected number of bytes: %w", err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("content of %s is larger than %d bytes", digest, most)
	}
	if got, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || got != digest {
		return nil, fmt.Errorf("commit failed: unexpected commit digest %s, expected %s: failed precondition", got, digest)
	}
	return raw, nil
}

// do sends a request, with authorization once the registry has asked for it, and in the clear where a registry on this
// machine speaks no TLS.
func (s *session) do(ctx context.Context, method, kind, which string) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		u := url.URL{Scheme: s.scheme, Host: s.name.host(), Path: "/v2/" + s.name.path() + "/" + kind + "/" + which}
		r, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
		if err != nil {
			return nil, err
		}
		if kind == "manifests" {
			r.Header.Set("Accept", accept)
		}
		if s.authorization != "" {
			r.Header.Set("Authorization", s.authorization)
		}
		res, err := s.client.Do(r)
		if errors.Is(err, http.ErrSchemeMismatch) && s.scheme == "https" && loopback(u.Hostname()) {
			s.scheme = "http"
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("failed to do request: %w", err)
		}
		if res.StatusCode != http.StatusUnauthorized || attempt > 1 {
			return res, nil
		}
		authorization, err := s.authorize(ctx, parseChallenges(res.Header.Values("WWW-Authenticate")))
		if err != nil || authorization == "" || authorization == s.authorization {
			if err != nil {
				return nil, errors.Join(err, res.Body.Close())
			}
			return res, nil
		}
		_ = res.Body.Close() // the answer is not needed
		s.authorization = authorization
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
