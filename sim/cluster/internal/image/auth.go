package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// errAuthorization is in every refusal for want of rights.
var errAuthorization = errors.New("authorization failed")

// challenge is what a registry asks of who comes without authorization. Source: RFC 9110, 11.6.1.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// parseChallenges reads WWW-Authenticate headers. What it does not understand it leaves out.
func parseChallenges(headers []string) []challenge {
	var out []challenge
	for _, h := range headers {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
		c := challenge{strings.ToLower(scheme), map[string]string{}}
		for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
			key, after, ok := strings.Cut(rest, "=")
			if !ok {
				break
			}
			var value string
			value, rest = parameter(after)
			c.params[strings.ToLower(strings.TrimSpace(key))] = value
		}
		out = append(out, c)
	}
	return out
}

// parameter takes a token or a quoted string off the beginning of s.
func parameter(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexAny(s, ", "); i >= 0 {
			return s[:i], s[i:]
		}
		return s, ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

// authorize answers the challenges of a registry: it gives the Authorization header to come back with.
func (s *session) authorize(ctx context.Context, challenges []challenge) (string, error) {
	for _, c := range challenges {
		switch c.scheme {
		case "bearer":
			if message := c.params["error"]; message != "" && s.authorization != "" {
				return "", fmt.Errorf("server message: %s: %w", message, errAuthorization)
			}
			token, err := s.token(ctx, c)
			if err != nil {
				return "", fmt.Errorf("failed to authorize: %w", err)
			}
			return "Bearer " + token.Reveal(), nil
		case "basic":
			if s.credential.User == "" || s.credential.Secret == "" {
				return "", fmt.Errorf("%w: no basic auth credentials", errAuthorization)
			}
			r := http.Request{Header: http.Header{}}
			r.SetBasicAuth(s.credential.User, s.credential.Secret.Reveal())
			return r.Header.Get("Authorization"), nil
		}
	}
	return "", nil
}

// token asks the registry's token server. With a credential it does so by POST first, as OAuth2 wants it, and by GET where
// that is not served. Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
func (s *session) token(ctx context.Context, c challenge) (sim.Secret, error) {
	realm, err := url.Parse(c.params["realm"])
	if err != nil || realm.Scheme != "https" && realm.Scheme != "http" || realm.Host == "" {
		return "", errors.New("no realm specified for token auth challenge")
	}
	scope := c.params["scope"]
	if scope == "" {
		scope = "repository:" + s.name.path() + ":pull"
	}
	if s.credential.Secret == "" {
		t, err := s.getToken(ctx, realm, c.params["service"], scope)
		if err != nil {
			return "", fmt.Errorf("failed to fetch anonymous token: %w", err)
		}
		return t, nil
	}
	t, err := s.postToken(ctx, realm, c.params["service"], scope)
	if status, ok := errors.AsType[*statusError](err); ok {
		switch status.code {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed:
			t, err = s.getToken(ctx, realm, c.params["service"], scope)
		}
	}
	if err != nil {
		return "", fmt.Errorf("failed to fetch oauth token: %w", err)
	}
	return t, nil
}

func (s *session) postToken(ctx context.Context, realm *url.URL, service, scope string) (sim.Secret, error) {
	form := url.Values{
		"client_id": {"containerd-client"}, "grant_type": {"password"}, "scope": {scope}, "service": {service},
		"username": {s.credential.User}, "password": {s.credential.Secret.Reveal()},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return s.askToken(r)
}

func (s *session) getToken(ctx context.Context, realm *url.URL, service, scope string) (sim.Secret, error) {
	u := *realm
	q := u.Query()
	if service != "" {
		q.Set("service", service)
	}
	q.Set("scope", scope)
	u.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	if s.credential.Secret != "" {
		r.SetBasicAuth(s.credential.User, s.credential.Secret.Reveal())
	}
	return s.askToken(r)
}

func (s *session) askToken(r *http.Request) (sim.Secret, error) {
	res, err := s.client.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close() //nolint:errcheck // what was read has been read
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return "", unexpected(res)
	}
	const longest = 1 << 20 // bytes: far above what a token server sends
	var answer struct {
		Token       sim.Secret `json:"token"`
		AccessToken sim.Secret `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, longest)).Decode(&answer); err != nil {
		return "", errors.New("unable to decode token response")
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return "", errors.New("authorization server did not include a token in the response")
	}
	return answer.Token, nil
}

// statusError is an answer that is not a success.
type statusError struct {
	code                int
	method, url, status string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("unexpected status from %s request to %s: %s", e.method, e.url, e.status)
}

func unexpected(res *http.Response) error {
	return &statusError{res.StatusCode, res.Request.Method, res.Request.URL.Redacted(), res.Status}
}
