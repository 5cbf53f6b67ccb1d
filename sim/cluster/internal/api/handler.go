package api

import (
	"encoding/json"
	"io"
	"net/http"
	goruntime "runtime"
	"time"

	"github.com/emicklei/go-restful/v3"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
)

// Version is the Kubernetes version that the server says it is: that of the k8s.io modules it is made of. helm compares
// it with a chart's kubeVersion.
const Version = "v1.37.2"

// maxBody is the largest request body in bytes, as in kube-apiserver.
const maxBody = 3 << 20

// watchTimeout is the least time for which a watch stays open if its client names none.
// Source: kube-apiserver's flag --min-request-timeout (1800 s).
const watchTimeout = 30 * time.Minute

// newHandler gives the whole HTTP face for a user who is known already, and what the user may not do. addr goes into discovery.
func newHandler(reg *registry, addr string) (http.Handler, error) {
	container := restful.NewContainer()
	container.ServeMux = http.NewServeMux()
	container.Router(restful.CurlyRouter{})
	if err := install(container, reg, addr); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, p := range []string{"/api", "/api/", "/apis", "/apis/"} {
		mux.Handle(p, container)
	}
	for _, p := range []string{"/healthz", "/livez", "/readyz"} {
		mux.HandleFunc("GET "+p, reg.health)
	}
	mux.HandleFunc("GET /version", serveVersion)
	installOpenAPI(mux, container, reg)
	mux.Handle("/", reg.notFound())

	h := newWitness(reg.options.Bus, reg.options.Acts, reg.types.codecs.UniversalDeserializer()).witnessed(authorized(mux, reg.authorizer, reg.types))
	return prepared(impersonated(h, reg.authorizer, reg.types), reg.options.Clock), nil
}

// install adds the endpoints of every resource, and discovery in its old and its aggregated form.
func install(container *restful.Container, reg *registry, addr string) error {
	t := reg.types
	core, named := aggregated.NewResourceManager("api"), aggregated.NewResourceManager("apis")
	addresses := discovery.DefaultAddresses{DefaultAddress: addr}
	roots := discovery.NewRootAPIsHandler(addresses, t.codecs)
	merge := newConverter(t)
	equivalent := runtime.NewEquivalentResourceRegistry()
	for _, gv := range served() {
		root, manager := "/apis", named
		if gv.Group == "" {
			root, manager = "/api", core
		}
		group := &endpoints.APIGroupVersion{
			Root: root, GroupVersion: gv, Storage: reg.storage[gv], OptionsExternalVersion: &schema.GroupVersion{Version: "v1"},
			ParameterCodec: t.parameters, Serializer: t.codecs, Creater: t, Convertor: t, ConvertabilityChecker: t, //nolint:misspell // its name
			UnsafeConvertor: runtime.UnsafeObjectConvertor(t.Scheme), Defaulter: t, Typer: t, Namer: runtime.Namer(meta.NewAccessor()),
			EquivalentResourceRegistry: equivalent, TypeConverter: merge, Authorizer: reg.authorizer,
			MinRequestTimeout: watchTimeout, MaxRequestBodyBytes: maxBody,
		}
		resources, _, err := group.InstallREST(container)
		if err != nil {
			return err
		}
		manager.AddGroupVersion(gv.Group, apidiscoveryv2.APIVersionDiscovery{
			Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent, Version: gv.Version, Resources: resources,
		})
		if gv.Group == "" {
			continue
		}
		v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		g := metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
		roots.AddGroup(g)
		container.Add(discovery.NewAPIGroupHandler(t.codecs, g).WebService())
	}
	legacy := discovery.NewLegacyRootAPIHandler(addresses, t.codecs, "/api")
	container.Add(aggregated.WrapAggregatedDiscoveryToHandler(legacy, core, core).GenerateWebService("/api", metav1.APIVersions{}))
	container.Add(aggregated.WrapAggregatedDiscoveryToHandler(roots, named, named).GenerateWebService("/apis", metav1.APIGroupList{}))
	return nil
}

func serveVersion(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// An error here means that the client has gone.
	_ = json.NewEncoder(w).Encode(version.Info{
		Major: "1", Minor: "37", GitVersion: Version, GitTreeState: "clean",
		GoVersion: goruntime.Version(), Compiler: goruntime.Compiler, Platform: goruntime.GOOS + "/" + goruntime.GOARCH,
	})
}

// health says ok unless the database could not be written.
func (reg *registry) health(w http.ResponseWriter, _ *http.Request) {
	if j := reg.ledger.journal; j != nil && j.cause() != nil {
		http.Error(w, "the database could not be written", http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, "ok") // an error here means that the client has gone
}
