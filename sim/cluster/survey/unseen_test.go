package survey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim/cluster/survey"
)

// serveLimited answers as an API server whose caller may see config maps, and no secrets.
func serveLimited(w http.ResponseWriter, r *http.Request) {
	answer := func(code int, object any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(object)
	}
	kind := func(version, name string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: version, Kind: name} }
	refuse := func(code int32, reason metav1.StatusReason, message string) {
		answer(int(code), metav1.Status{TypeMeta: kind("v1", "Status"), Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message})
	}
	verbs := metav1.Verbs{"delete", "list", "watch"}
	switch r.URL.Path {
	case "/api":
		answer(http.StatusOK, metav1.APIVersions{TypeMeta: kind("v1", "APIVersions"), Versions: []string{"v1"}})
	case "/apis":
		answer(http.StatusOK, metav1.APIGroupList{TypeMeta: kind("v1", "APIGroupList")})
	case "/api/v1":
		answer(http.StatusOK, metav1.APIResourceList{TypeMeta: kind("v1", "APIResourceList"), GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: verbs}, {Name: "secrets", Kind: "Secret", Namespaced: true, Verbs: verbs},
		}})
	case "/api/v1/configmaps":
		switch q := r.URL.Query(); {
		case q.Has("sendInitialEvents"):
			refuse(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "it does not stream lists")
		case q.Has("watch"):
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			answer(http.StatusOK, metav1.PartialObjectMetadataList{
				TypeMeta: kind("meta.k8s.io/v1", "PartialObjectMetadataList"), ListMeta: metav1.ListMeta{ResourceVersion: "1"},
				Items: []metav1.PartialObjectMetadata{{TypeMeta: kind("meta.k8s.io/v1", "PartialObjectMetadata"), ObjectMeta: metav1.ObjectMeta{
					Name: "conf", Namespace: "default", UID: "1", Labels: map[string]string{survey.ManagedBy: survey.Simulator},
				}}},
			})
		}
	default:
		refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "secrets is forbidden: not you")
	}
}

// A kind that the API server does not tell of holds nothing up, and is told of.
func TestAKindThatMayNotBeListedIsUnseen(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(serveLimited))
	defer server.Close()
	s := survey.New(&rest.Config{Host: server.URL}, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	if err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []survey.Unseen{{What: "Secret", Reason: "secrets is forbidden: not you"}}
	if d := cmp.Diff(want, s.Unseen()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	present, _ := s.Take()
	if len(present) != 1 || present[0].Kind != "ConfigMap" || present[0].Name != "conf" || !present[0].Simulator {
		t.Errorf("present: %+v", present)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// Whose rights end at a namespace sees what is in it, and is told in one line what cannot be seen.
func TestInSomeNamespacesIsLookedWhereOneMay(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/configmaps":
			r.URL.Path = "/api/v1/not/yours"
		case "/api/v1/namespaces/default/configmaps":
			r.URL.Path = "/api/v1/configmaps"
		}
		serveLimited(w, r)
	}))
	defer server.Close()
	var log bytes.Buffer
	s := survey.New(&rest.Config{Host: server.URL}, []string{"default", "dpe"}, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	if err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if present, _ := s.Take(); len(present) != 1 || present[0].Name != "conf" {
		t.Errorf("present: %+v", present)
	}
	if unseen := s.Unseen(); len(unseen) != 2 || unseen[0].What != "ConfigMap" || unseen[1].What != "Secret" {
		t.Errorf("unseen: %+v", unseen)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, `kinds="ConfigMap Secret"`) {
		t.Errorf("the log says\n%s", said)
	}
}
