DIGEST: str

class Field:
    text: str
    codes: str
    def __init__(self, text: str, codes: str) -> None: ...
