/// The description of the routes that the server serves at `/v1/openapi.json`.
enum OpenAPI {
    static let document = """
        {"openapi":"3.1.0","info":{"title":"Shoal","version":"1","description":"Offline-first sync. The bodies of \
        /v1/sync are columnar JSON, compressed with zlib; Protocol/SPEC.md is their specification."},
        "components":{"securitySchemes":{"key":{"type":"http","scheme":"bearer"}},
        "schemas":{"Problem":{"type":"object","required":["type","title","status","detail"],"properties":{
        "type":{"type":"string"},"title":{"type":"string"},"status":{"type":"integer"},"detail":{"type":"string"}}},
        "Enroll":{"type":"object","required":["code","key"],"properties":{"protocol":{"type":"integer"},
        "code":{"type":"string","description":"XXXX-XXXX-XXXX"},
        "key":{"type":"string","description":"32 random bytes in base64url, the bearer key from then on"},
        "former":{"type":"string","description":"the account of this home with a server that does not know it any more"},
        "name":{"type":"string","description":"the name of that account"},
        "device":{"type":"string","description":"what people call the machine"}}},
        "Enrolled":{"type":"object","properties":{"replica":{"type":"integer"},"account":{"type":"string"},
        "name":{"type":"string"},"role":{"enum":["expert","sales","supervisor"]},
        "epoch":{"type":"string","description":"64 bits, hexadecimal"},
        "time":{"type":"integer","description":"milliseconds since 1970"},
        "lease":{"type":"integer","description":"for how many days the replica may go on without an answer"}}},
        "Device":{"type":"object","properties":{"replica":{"type":"string","description":"8 hexadecimal digits"},
        "name":{"type":"string"},"enrolled":{"type":"string","format":"date-time"},
        "replicas":{"type":"array","items":{"type":"string"}},
        "state":{"enum":["active","revoked","handed-over","discarded"]},
        "revoked":{"type":"string","format":"date-time"}}},
        "AuditPage":{"type":"object","required":["entries"],"properties":{
        "next":{"type":"integer","description":"before of the next page"},
        "entries":{"type":"array","items":{"$ref":"#/components/schemas/AuditEntry"}}}},
        "AuditEntry":{"type":"object","properties":{"number":{"type":"integer"},
        "at":{"type":"string","format":"date-time"},"account":{"type":"string"},"by":{"type":"string"},
        "replica":{"type":"string"},"device":{"type":"string"},"action":{"type":"string"},"record":{"type":"string"},
        "erased":{"type":"boolean"},"changes":{"type":"array","items":{"type":"object","properties":{
        "field":{"type":"string"},"element":{"type":"string"},"from":{"type":"array","items":{"type":"string"}},
        "to":{"type":"string"}}}}}}},
        "responses":{"Problem":{"description":"A problem document (RFC 9457).","headers":{"Retry-After":{
        "description":"with 429 and 503: seconds","schema":{"type":"integer"}}},"content":{"application/problem+json":{
        "schema":{"$ref":"#/components/schemas/Problem"}}}}}},
        "paths":{
        "/v1/enroll":{"post":{"summary":"Enroll a replica with a code; may be repeated with the same key",
        "requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Enroll"}}}},
        "responses":{"200":{"description":"Enrolled","content":{"application/vnd.shoal.v1+json":{
        "schema":{"$ref":"#/components/schemas/Enrolled"}}}},"default":{"$ref":"#/components/responses/Problem"}}}},
        "/v1/sync":{"post":{"summary":"Push operations and pull a page","security":[{"key":[]}],
        "parameters":[{"name":"Content-Encoding","in":"header","required":true,"schema":{"const":"deflate"}}],
        "requestBody":{"content":{"application/vnd.shoal.v1+json":{}}},
        "responses":{"200":{"description":"What was taken, and a page","content":{"application/vnd.shoal.v1+json":{}}},
        "default":{"$ref":"#/components/responses/Problem"}}}},
        "/v1/handover":{"post":{"summary":"Bring what a revoked device, or a copy of it, had not sent",\
        "security":[{"key":[]}],
        "parameters":[{"name":"Content-Encoding","in":"header","required":true,"schema":{"const":"deflate"}}],
        "requestBody":{"content":{"application/vnd.shoal.v1+json":{}}},
        "responses":{"200":{"description":"What was taken","content":{"application/vnd.shoal.v1+json":{}}},
        "default":{"$ref":"#/components/responses/Problem"}}}},
        "/v1/devices":{"post":{"summary":"The devices of the account that asks","security":[{"key":[]}],
        "responses":{"200":{"description":"In the order in which they were enrolled","content":{"application/json":{
        "schema":{"type":"array","items":{"$ref":"#/components/schemas/Device"}}}}},
        "default":{"$ref":"#/components/responses/Problem"}}}},
        "/v1/audit":{"get":{"summary":"Who changed what, newest first, as far as the account that asks may see it",\
        "security":[{"key":[]}],"parameters":[
        {"name":"record","in":"query","description":"only about this record: 13 characters","schema":{"type":"string"}},
        {"name":"before","in":"query","description":"only entries with smaller numbers","schema":{"type":"integer","minimum":1}},
        {"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"maximum":200,"default":50}}],
        "responses":{"200":{"description":"A page","content":{"application/json":{"schema":{
        "$ref":"#/components/schemas/AuditPage"}}}},"default":{"$ref":"#/components/responses/Problem"}}}},
        "/v1/relay":{"post":{"summary":"Give back what this replica held of records that the server has lost",\
        "security":[{"key":[]}],
        "parameters":[{"name":"Content-Encoding","in":"header","required":true,"schema":{"const":"deflate"}}],
        "requestBody":{"content":{"application/vnd.shoal.v1+json":{}}},
        "responses":{"200":{"description":"How many records are joined","content":{"application/vnd.shoal.v1+json":{
        "schema":{"type":"object","properties":{"taken":{"type":"integer"},"more":{"type":"boolean"}}}}}},
        "default":{"$ref":"#/components/responses/Problem"}}}},
        "/v1/digest":{"post":{"summary":"Compare a replica's rows with the server's records and fetch what differs",
        "security":[{"key":[]}],
        "parameters":[{"name":"Content-Encoding","in":"header","required":true,"schema":{"const":"deflate"}}],
        "requestBody":{"content":{"application/vnd.shoal.v1+json":{}}},
        "responses":{"200":{"description":"What the server has of the ranges that differ, and records whole",
        "content":{"application/vnd.shoal.v1+json":{}}},"default":{"$ref":"#/components/responses/Problem"}}}},
        "/healthz":{"get":{"summary":"The process is alive","responses":{"200":{"description":"It is"}}}},
        "/readyz":{"get":{"summary":"The store can commit","responses":{"200":{"description":"It can"},
        "503":{"$ref":"#/components/responses/Problem"}}}},
        "/metrics":{"get":{"summary":"Counters in the Prometheus text format","responses":{"200":{"description":"Counters"}}}},
        "/v1/openapi.json":{"get":{"summary":"This document","responses":{"200":{"description":"OpenAPI"}}}}}}
        """
}
