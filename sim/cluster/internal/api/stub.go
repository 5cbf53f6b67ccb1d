package api

import (
	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"net/http"
)

func budgetRules() rules             { return rules{} }
func claimRules() rules              { return rules{} }
func classRules() rules              { return rules{} }
func configMapRules() rules          { return rules{} }
func deploymentRules() rules         { return rules{} }
func eventRules() rules              { return rules{} }
func jobRules() rules                { return rules{} }
func leaseRules() rules              { return rules{} }
func networkPolicyRules() rules      { return rules{} }
func podRules() rules                { return rules{} }
func replicaSetRules() rules         { return rules{} }
func scalerRules() rules             { return rules{} }
func secretRules() rules             { return rules{} }
func serviceRules() rules            { return rules{} }
func volumeRules() rules             { return rules{} }
func budgetColumns() columns         { return columns{ageColumn()} }
func claimColumns() columns          { return columns{ageColumn()} }
func classColumns() columns          { return columns{ageColumn()} }
func configMapColumns() columns      { return columns{ageColumn()} }
func deploymentColumns() columns     { return columns{ageColumn()} }
func eventColumns() columns          { return columns{ageColumn()} }
func jobColumns() columns            { return columns{ageColumn()} }
func leaseColumns() columns          { return columns{ageColumn()} }
func namespaceColumns() columns      { return columns{ageColumn()} }
func networkPolicyColumns() columns  { return columns{ageColumn()} }
func nodeColumns() columns           { return columns{ageColumn()} }
func podColumns() columns            { return columns{ageColumn()} }
func replicaSetColumns() columns     { return columns{ageColumn()} }
func scalerColumns() columns         { return columns{ageColumn()} }
func secretColumns() columns         { return columns{ageColumn()} }
func serviceAccountColumns() columns { return columns{ageColumn()} }
func serviceColumns() columns        { return columns{ageColumn()} }
func volumeColumns() columns         { return columns{ageColumn()} }

const notNegative = "must be greater than or equal to 0"

func addDefaults(s *runtime.Scheme)                                      { s.AddTypeDefaultingFunc(&corev1.Secret{}, func(any) {}) }
func installOpenAPI(*http.ServeMux, *restful.Container, *registry) error { return nil }
