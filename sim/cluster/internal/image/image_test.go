package image

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func secret(json string) *corev1.Secret {
	return &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(json)}}
}

func TestKeyringMatchesAsAKubeletDoes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ place, image, want string }{
		{"registry.example", "registry.example/app", "u"},
		{"https://registry.example/v2/", "registry.example/app", "u"},
		{"registry.example/team", "registry.example/team/app", "u"},
		{"registry.example/team", "registry.example/other/app", ""},
		{"registry.example:5000", "registry.example:5000/app", "u"},
		{"registry.example", "registry.example:5000/app", ""},
		{"*.example", "registry.example/app", "u"},
		{"*.example", "a.registry.example/app", ""},
		{"localhost:8443", "localhost:8443/images/dpe:15.3.0", "u"},
		{"https://index.docker.io/v1/", "nginx", "u"},
		{"registry.example", "nginx", ""},
	} {
		var k Keyring
		if err := k.Add(secret(`{"auths":{"` + tt.place + `":{"username":"u","password":"p"}}}`)); err != nil {
			t.Fatal(err)
		}
		n, err := Parse(tt.image)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if c := k.Lookup(n); len(c) > 0 {
			got = c[0].User
		}
		if got != tt.want {
			t.Errorf("%s for %s: %q, want %q", tt.place, tt.image, got, tt.want)
		}
	}
}

func TestKeyringTriesTheMostSpecificFirst(t *testing.T) {
	t.Parallel()
	var k Keyring
	if err := k.Add(secret(`{"auths":{"r.example":{"auth":"YTpi"},"r.example/team":{"auth":"YzpkOmU="}}}`)); err != nil {
		t.Fatal(err)
	}
	n, err := Parse("r.example/team/app")
	if err != nil {
		t.Fatal(err)
	}
	got := k.Lookup(n)
	if len(got) != 2 || got[0].User != "c" || got[0].Secret.Reveal() != "d:e" || got[1].User != "a" {
		t.Errorf("%+v", got)
	}
}

func TestBadPullSecretsSaySoWithoutTheirContent(t *testing.T) {
	t.Parallel()
	for _, json := range []string{`{"auths":{"r":{"password":"hunter2"}`, `{"auths":{"r":{"auth":"aHVudGVyMg=="}}}`, `{"auths":{"r":{"auth":"hunter2!"}}}`} {
		err := new(Keyring).Add(secret(json))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", json, err)
		}
	}
}

func TestNamesInFull(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nginx":                       "docker.io/library/nginx:latest",
		"localhost:8443/images/dpe:1": "localhost:8443/images/dpe:1",
		"r.example/a@sha256:" + strings.Repeat("0", 64): "r.example/a@sha256:" + strings.Repeat("0", 64),
	} {
		n, err := Parse(in)
		if err != nil || n.String() != want {
			t.Errorf("%s: %s, %v", in, n, err)
		}
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	got := parseChallenges([]string{`Bearer realm="https://r/token",service="a \"b\"",scope=x , error="insufficient_scope"`, "Basic"})
	if len(got) != 2 || got[0].scheme != "bearer" || got[0].params["realm"] != "https://r/token" || got[0].params["service"] != `a "b"` ||
		got[0].params["scope"] != "x" || got[0].params["error"] != "insufficient_scope" || got[1].scheme != "basic" {
		t.Errorf("%+v", got)
	}
}

func FuzzChallenges(f *testing.F) {
	for _, s := range []string{`Bearer realm="x"`, `Basic`, `Bearer a=b,c="d\`, ` ,=,"`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { parseChallenges([]string{s}) })
}

func FuzzKeyring(f *testing.F) {
	for _, s := range []string{`{"auths":{"r.example":{"auth":"YTpi"}}}`, `{"auths":{"[":{}}}`, `{"auths":{"":{"auth":"="}}}`} {
		f.Add(s)
	}
	n, err := Parse("r.example/team/app")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		var k Keyring
		if k.Add(secret(s)) == nil {
			k.Lookup(n)
		}
	})
}
