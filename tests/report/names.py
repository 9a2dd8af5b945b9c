"""What the stage folders of tests have in common: domains, one of them hostile, mixtures, and a text that is no HTML."""

DOMAINS = ("def-self-return", "licence-copyright", "a<b>&\"'-$x_1$")
LABELS = {"def-self-return": "함수의 정의를 반환"}
NATURAL, UNIFORM, SEARCHED = (0.6, 0.3, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.3, 0.45, 0.25)
EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>\x00\x1b[31m\u202efdp.exe {{ 7*7 }}'
