package portal

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// documentRoutes registers the document of the API, which everybody may read: it says what there is, not what is in it.
func (p *Portal) documentRoutes(r *router) {
	r.api(http.MethodGet, "/openapi.json", needNothing, func(c echo.Context) error { return r.getDocument(c) }, op("openAPI", "Give this document").gives(200, map[string]any{}))
}

// getDocument handles GET /openapi.json.
func (r *router) getDocument(c echo.Context) error {
	b, err := document(r.operations)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, b)
}
