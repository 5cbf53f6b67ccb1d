package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// FuzzPath holds that what is read from a path is made of valid names and stands in the path.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/v2/", "/v2/a/tags/list", "/v2/a/b/manifests/x", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/" + strings.Repeat("A", 26),
		"/v2/a/referrers/sha256:" + strings.Repeat("0", 64), "/v2/blobs/blobs/uploads", "/v2//manifests/", "/v3", "/v2/a/manifests/..",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		rt, err := parsePath(path)
		if err != nil {
			if p, ok := errors.AsType[*problem](err); !ok || p.status < 400 || p.status > 499 {
				t.Fatalf("%q: %v", path, err)
			}
			return
		}
		if rt.resource == resourcePing {
			return
		}
		if !repositoryPattern.MatchString(rt.repository) || strings.Contains(rt.repository, "..") || !strings.HasPrefix(path, "/v2/"+rt.repository+"/") {
			t.Errorf("%q: %+v", path, rt)
		}
		if !strings.HasSuffix(path, rt.reference) || strings.ContainsAny(rt.reference, "/\\") {
			t.Errorf("%q: %+v", path, rt)
		}
	})
}

// FuzzScope holds that a scope that was read is read back the same from its text.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"repository:a/b:pull", "repository:a:pull,push repository:b:*", "repository(plugin):a:pull", "registry:catalog:*", "a", "::", "repository:h:5000/a:pull"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := parseScopes([]string{s})
		if err != nil {
			return
		}
		for _, x := range scopes {
			again, err := parseScopes([]string{x.String()})
			if err != nil || len(again) != 1 || again[0].Name != x.Name || !slices.Equal(again[0].Actions, x.Actions) {
				t.Errorf("%q: %+v becomes %+v, %v", s, x, again, err)
			}
		}
	})
}

// FuzzRange holds that a range has at least one byte, whose numbers do not overflow.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"0-0", "5-4", "0-9223372036854775807", "-1", "bytes 0-1/2", "00-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, err := parseRange(s)
		if err != nil {
			return
		}
		if first < 0 || last < first || last-first+1 < 1 {
			t.Errorf("%q: %d to %d", s, first, last)
		}
		if again, _, err := parseRange(fmt.Sprintf("%d-%d", first, last)); err != nil || again != first {
			t.Errorf("%q: %v", s, err)
		}
	})
}
