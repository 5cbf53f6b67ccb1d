package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/emicklei/go-restful/v3"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// installOpenAPI serves the documents from which kubectl explains, validates and compares: v2 as one, v3 by group and
// version. Each is built when it is first asked for, which costs more than all else at that moment: so the index of v3
// names its documents without the hashes that Kubernetes adds, for which every one of them would have to be built.
func installOpenAPI(mux *http.ServeMux, container *restful.Container, reg *registry) {
	d := &documents{container: container, namer: apiopenapi.NewDefinitionNamer(reg.types.public), types: reg.types}
	d.models = sync.OnceValues(d.readModels)
	d.schemas = sync.OnceValues(d.readSchemas)
	index := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	d.info = &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: Version}}
	v3 := handler3.NewOpenAPIService()
	for _, ws := range container.RegisteredWebServices() {
		path := strings.Trim(ws.RootPath(), "/")
		if n := strings.Count(path, "/"); n == 2 || n == 1 && strings.HasPrefix(path, "api/") {
			index.Paths[path] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: "/openapi/v3/" + path}
			v3.UpdateGroupVersionLazy(path, cached.Once(cached.Func(func() (*spec3.OpenAPI, string, error) { return d.v3(ws, path) })))
		}
	}
	mux.HandleFunc("/openapi/v3", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(index) // an error here means that the client has gone
	})
	mux.HandleFunc("/openapi/v3/", v3.HandleGroupVersion)
	handler.NewOpenAPIServiceLazy(cached.Once(cached.Func(d.v2))).RegisterOpenAPIVersionedService("/openapi/v2", mux)
}

// documents builds the OpenAPI documents from the installed routes and the models of the types.
type documents struct {
	container *restful.Container
	types     *types
	namer     *apiopenapi.DefinitionNamer
	info      *spec.Info
	models    func() (*models, error)
	schemas   func() (map[string]common.OpenAPIDefinition, error) // the models of v3
}

// readSchemas builds the models as the documents of v3 refer to them.
func (d *documents) readSchemas() (map[string]common.OpenAPIDefinition, error) {
	m, err := d.models()
	if err != nil {
		return nil, err
	}
	return m.definitions(func(name string) spec.Ref {
		n, _ := d.namer.GetDefinitionName(name)
		return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(n))
	}), nil
}

func (d *documents) v2() (out *spec.Swagger, etag string, err error) {
	m, err := d.models()
	if err != nil {
		return nil, "", err
	}
	defer explain(&err)
	out, err = builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(d.container.RegisteredWebServices()), &common.Config{
		Info: d.info, ProtocolList: []string{"https"}, DefaultResponse: &spec.Response{ResponseProps: spec.ResponseProps{Description: "Default Response."}},
		GetOperationIDAndTags: apiopenapi.GetOperationIDAndTags, //nolint:staticcheck // the API server's library has no other yet
		GetDefinitionName:     d.namer.GetDefinitionName, GetDefinitions: m.definitions,
	})
	return out, Version, err
}

func (d *documents) v3(ws *restful.WebService, path string) (out *spec3.OpenAPI, etag string, err error) {
	definitions, err := d.schemas()
	if err != nil {
		return nil, "", err
	}
	defer explain(&err)
	out, err = builder3.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices([]*restful.WebService{ws}), &common.OpenAPIV3Config{
		Info: d.info, DefaultResponse: &spec3.Response{ResponseProps: spec3.ResponseProps{Description: "Default Response."}},
		GetOperationIDAndTags: apiopenapi.GetOperationIDAndTags, //nolint:staticcheck // the API server's library has no other yet
		GetDefinitionName:     d.namer.GetDefinitionName, Definitions: definitions,
	})
	return out, path, err
}

// explain turns a panic of the builders, which is how they report a type without a model, into an error: the documents
// are built outside of any handler's guard.
func explain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("build OpenAPI: %v", p)
	}
}
