package image

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/dpesim/dpesim/sim"
)

// Credential is a user of a registry. The zero value is nobody.
type Credential struct {
	User   string
	Secret sim.Secret
}

// Keyring finds the credentials of registries, by the rules of a kubelet. The zero value has none.
// Source: Kubernetes, "Images", interpretation of config.json.
type Keyring struct {
	places []string // most specific first: "registry.example/team" before "registry.example"
	keys   map[string][]Credential
}

// errJSON stands for an error of encoding/json, which may quote what it cannot read: a secret.
var errJSON = errors.New("error occurred while trying to unmarshal json")

// Add adds what a pull secret holds. Secrets of other types hold nothing for a registry and are passed over, as a kubelet
// does; so are entries of a place that is no address.
func (k *Keyring) Add(s *corev1.Secret) error {
	var auths map[string]entry
	switch {
	case s.Type == corev1.SecretTypeDockerConfigJson && len(s.Data[corev1.DockerConfigJsonKey]) > 0:
		var config struct {
			Auths map[string]entry `json:"auths"`
		}
		if err := json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &config); err != nil {
			return errJSON
		}
		auths = config.Auths
	case s.Type == corev1.SecretTypeDockercfg && len(s.Data[corev1.DockerConfigKey]) > 0:
		if err := json.Unmarshal(s.Data[corev1.DockerConfigKey], &auths); err != nil {
			return errJSON
		}
	}
	for place, e := range auths {
		if !strings.HasPrefix(place, "https://") && !strings.HasPrefix(place, "http://") {
			place = "https://" + place
		}
		u, err := url.Parse(place)
		if err != nil {
			continue
		}
		c, err := e.credential()
		if err != nil {
			return err
		}
		at := u.Path
		if strings.HasPrefix(at, "/v1/") || strings.HasPrefix(at, "/v2/") {
			at = at[3:]
		}
		if at == "/" {
			at = ""
		}
		k.add(u.Host+at, c)
	}
	return nil
}

func (k *Keyring) add(place string, c Credential) {
	if k.keys == nil {
		k.keys = map[string][]Credential{}
	}
	if _, known := k.keys[place]; !known {
		k.places = append(k.places, place)
		slices.Sort(k.places)
		slices.Reverse(k.places)
	}
	k.keys[place] = append(k.keys[place], c)
}

// entry is one registry's part of a docker configuration.
type entry struct {
	Username string     `json:"username"`
	Password sim.Secret `json:"password"`
	Auth     sim.Secret `json:"auth"` // base64 of user:password, wins
}

func (e entry) credential() (Credential, error) {
	if e.Auth == "" {
		return Credential{e.Username, e.Password}, nil
	}
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(strings.TrimSpace(e.Auth.Reveal()), "=") {
		encoding = base64.StdEncoding
	}
	b, err := encoding.DecodeString(e.Auth.Reveal())
	if err != nil {
		return Credential{}, fmt.Errorf("decode the auth field of a pull secret: %w", err)
	}
	user, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return Credential{}, errors.New("unable to parse auth field, must be formatted as base64(username:password)")
	}
	return Credential{user, sim.Secret(password)}, nil
}

// Lookup gives the credentials to try for an image, in order.
func (k *Keyring) Lookup(n Name) []Credential {
	var out []Credential
	target, err := url.Parse("https://" + n.repository())
	if err != nil {
		return nil
	}
	for _, place := range k.places {
		if matches(place, target) {
			out = append(out, k.keys[place]...)
		}
	}
	if out == nil && target.Host == "docker.io" {
		return k.keys["index.docker.io"]
	}
	return out
}

// matches tells whether credentials for a place are good for a repository: the ports are the same, the parts of the host
// match one by one ("*" stands for one part), and the place's path is the beginning of the repository's.
func matches(place string, target *url.URL) bool {
	u, err := url.Parse("https://" + place)
	if err != nil {
		return false
	}
	host, port := split(u.Host)
	wantHost, wantPort := split(target.Host)
	if port != wantPort || len(host) != len(wantHost) || !strings.HasPrefix(target.Path, u.Path) {
		return false
	}
	for i, part := range host {
		if ok, err := path.Match(part, wantHost[i]); !ok || err != nil {
			return false
		}
	}
	return true
}

func split(hostport string) (parts []string, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = hostport, ""
	}
	return strings.Split(host, "."), port
}
