"""What people paste."""


def curl_v(case, marker="* SSL connection using TLSv1.3 / X"):
    lines = ["*   Trying 10.0.0.1:443...", "* Connected to x (10.0.0.1) port 443", marker, "> GET /orders HTTP/1.1"]
    lines += ["> Host: api.example.com", f"> Authorization: DPoP {case.token}", f"> DPoP: {case.proof}", "> "]
    return "\n".join([*lines, "< HTTP/1.1 200 OK", "< Date: Tue, 14 Nov 2023 22:13:20 GMT", "< ", "{}"])
