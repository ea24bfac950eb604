package object

import "slices"

// SSLProfile says which versions and ciphers TLS may use.
type SSLProfile struct {
	Name                 string       `json:"name" required:"" doc:"unique among SSL profiles"`
	UUID                 string       `json:"uuid" doc:"references may name the object by it"`
	Description          string       `json:"description" doc:"free text"`
	Type                 string       `json:"type" default:"SSL_PROFILE_TYPE_APPLICATION" words:"SSL_PROFILE_TYPE_ APPLICATION SYSTEM" idle:"" doc:"whom the profile is for"`
	AcceptedVersions     []SSLVersion `json:"accepted_versions" items:"0..16" key:"type" doc:"versions that may be used; of them TLS1_2 and TLS1_3 are spoken"`
	AcceptedCiphers      string       `json:"accepted_ciphers" default:"AES:3DES:RC4" doc:"ciphers of TLS 1.2 that may be used, as OpenSSL writes them; their order counts for nothing, and those without forward secrecy only where they are named in full; the default, or none: those that are strong"`
	CipherEnums          []string     `json:"cipher_enums" items:"0..256" doc:"ciphers by their IANA names, instead of accepted_ciphers"`
	Ciphersuites         string       `json:"ciphersuites" idle:"" doc:"cipher suites of TLS 1.3, of which all are spoken"`
	PreferClientOrdering bool         `json:"prefer_client_cipher_ordering" default:"false" idle:"" doc:"the client's order of ciphers counts"`
	EnableSessionReuse   bool         `json:"enable_ssl_session_reuse" default:"true" doc:"sessions may be taken up again, at any engine of the cluster"`
	SessionTimeoutS      int          `json:"ssl_session_timeout" default:"86400" range:"0..2147483647" unit:"s" idle:"" doc:"how long a session may be taken up again"`
	SendCloseNotify      bool         `json:"send_close_notify" default:"true" idle:"" doc:"say goodbye before the connection closes"`
	ECNamedCurve         string       `json:"ec_named_curve" default:"auto" doc:"curves for key exchange, as OpenSSL writes them: X25519MLKEM768, X25519, prime256v1, secp384r1, secp521r1 with colons between; auto is all, in this order"`
	SignatureAlgorithm   string       `json:"signature_algorithm" default:"auto" idle:"" doc:"algorithms of signatures"`
	Kept                 Kept         `json:"-"`
}

// SSLVersion is one version of TLS.
type SSLVersion struct {
	Type string `json:"type" required:"" words:"SSL_VERSION_ SSLV3 TLS1 TLS1_1 TLS1_2 TLS1_3" doc:"the version"`
	Kept Kept   `json:"-"`
}

var sslProfileKept = slices.Concat(
	quiet(keptText, `dhparam`),
	quiet(keptBool, `enable_early_data is_federated`),
	quiet(keptList, `tags`),
	dropped(keptObject, `ssl_rating`),
)
