# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server means by its refusal: libpq gives no SQLSTATE for a failed connection, and a server speaks its lc_messages.

The phrases are the distinctive parts of the messages in PostgreSQL's own translations (postgres.po of 15), and PgBouncer's.
"""

from __future__ import annotations

import re

# kind -> phrases, lower case, tried in this order: a message that fits two kinds is of the first.
PHRASES: dict[str, tuple[str, ...]] = {
    "options_refused": ("unsupported startup parameter",),
    # Its file name stands in every language.
    "no_hba": ("pg_hba.conf", "no hba entry"),
    "too_many_clients": (
        "too many clients", "connection slots are reserved", "too many connections for", "no more connections allowed", "max_client_conn",
        "zu viele verbindungen", "verbleibenden verbindungen", "demasiados clientes", "conexiones restantes", "demasiadas conexiones",
        "trop de clients", "emplacements de connexion", "trop de connexions", "troppi client", "slot di connessione", "troppe connessioni",
        "クライアント数が多すぎます", "接続スロット", "接続が多すぎます", "접속자 수를 초과", "연결 슬롯", "접속수를 초과",
        "слишком много клиентов", "слоты подключений", "слишком много подключений", "för många klienter", "anslutningsslottar",
        "för många uppkopplingar", "забагато клієнтів", "слоти підключень", "занадто багато підключень",
        "太多的客户", "连接位置", "连接太多", "მეტისმეტად ბევრი", "ძალიან ბევრი კავშირი", "muitos clientes", "muitas conexões",
    ),
    "starting_up": (
        "the database system is starting up", "the database system is shutting down", "the database system is in recovery mode",
        "the database system is not yet accepting", "not accepting connections", "datenbanksystem startet", "datenbanksystem fährt",
        "wiederherstellungsmodus", "nimmt noch keine verbindungen", "está iniciándose", "está apagándose", "modo de recuperación",
        "aún no está aceptando conexiones", "bases de données se lance", "base de données s'arrête", "cours de restauration",
        "n'accepte pas encore", "si sta avviando", "si sta spegnendo", "modalità di ripristino", "non accetta ancora",
        "起動処理中", "シャットダウンしています", "リカバリモード", "まだ接続を受け付けていません", "가동 중입니다", "중지 중입니다", "복구 작업 중",
        "아직 접속을 허용하지", "баз данных запускается", "баз данных останавливается", "режиме восстановления", "ещё не принимает",
        "databassystemet startar", "databassystemet stänger", "återställningsläge", "tar ännu inte emot", "даних запускається",
        "завершує роботу", "режимі відновлення", "ще не приймає", "数据库系统启动中", "数据库系统停止中", "恢复模式",
        "ბაზის სისტემის გაშვება", "ბაზის სისტემა ითიშება", "აღდგენის რეჟიმშია", "ჯერ მიერთებებს არ იღებს",
    ),
    "auth": (
        "authentication failed", "auth failed", "no password supplied", "no such user", "is not permitted to log in", "authentifizierung für benutzer",
        "keine berechtigung zum einloggen", "autentificación", "no se le permite conectarse", "authentification", "n'est pas autorisé à se connecter",
        "autenticazione", "non è consentito effettuare il login", "認証に失敗しました", "ログインが許可されません", "인증을 실패했습니다",
        "롤은 접속을 허용하지 않음", "не прошёл проверку подлинности", "вход запрещён", "autentisering", "tillåts inte logga in",
        "не пройшов автентифікацію", "вхід не дозволений", "认证失败", "进行登录", "ავთენტიფიკაცია", "შესვლის უფლება", "autenticação",
        "認證失敗", "驗證失敗",
    ),
    "database_missing": ("no such database",),
    "tls": (
        "server does not support ssl", "ssl error", "certificate verify failed", "root certificate file", "ssl connection has been closed",
        "server certificate for", "sslmode", "could not read root certificate", "channel binding",
    ),
    "protocol": (
        "invalid response to ssl negotiation", "expected authentication request", "unsupported frontend protocol", "server closed the connection unexpectedly",
        "lost synchronization", "invalid response to gssapi", "unexpected response from server", "authentication method",
    ),
    "dns": ("could not translate host name", "name or service not known", "temporary failure in name resolution", "could not parse network address"),
    "refused": ("connection refused", "no such file or directory", "permission denied", "connection reset by peer", "cannot connect to server"),
    "unreachable": ("no route to host", "network is unreachable", "host is down"),
    "timeout": ("timeout expired", "connection timed out", "query_wait_timeout", "server_login_retry", "client_login_timeout"),
    "bad_option": ("unrecognized configuration parameter", "invalid connection option", "invalid value for parameter"),
}  # fmt: skip

# A quoted name and "does not exist": which of the two it is, the noun tells.
_MISSING = {
    "database_missing": (
        r"database .* does not exist", r"datenbank .* existiert nicht", r"no existe la base de datos", r"base de données .* n'existe pas",
        r"il database .* non esiste", r"データベース.*は存在しません", r"데이터베이스 없음", r"база данных .* не существует", r"databasen .* existerar inte",
        r"бази даних .* не існує", r"数据库.*不存在", r"資料庫.*不存在", r"მონაცემთა ბაზა .* არ არსებობს", r"banco de dados .* não existe",
    ),
    "role_missing": (
        r"role .* does not exist", r"rolle .* existiert nicht", r"no existe el rol", r"le rôle .* n'existe pas", r"il ruolo .* non esiste",
        r"ロール.*は存在しません", r"롤\(role\) 없음", r"роль .* не существует", r"rollen .* finns inte", r"роль .* не існує", r"角色.*不存在",
        r"როლი არ არსებობს", r"role .* não existe",
    ),
}  # fmt: skip

_SQLSTATES = {
    "28P01": "auth",
    "28000": "auth",
    "3D000": "database_missing",
    "53300": "too_many_clients",
    "57P03": "starting_up",
    "57P01": "starting_up",
    "57P02": "starting_up",
    "08P01": "protocol",
}

_QUOTED = re.compile(r"\"[^\"\n]*\"|»[^«\n]*«|«[^»\n]*»")


def kind_of(message: str, sqlstate: str | None = None) -> str:
    """The kind of a failed connection: by its SQLSTATE where there is one, else by what the message says; "" when nothing fits."""
    # Names come quoted, and somebody chose them: they must not decide.
    text = _QUOTED.sub('""', message).lower()
    if "pg_hba.conf" in text:
        return "no_hba"
    if sqlstate in _SQLSTATES:
        return _SQLSTATES[sqlstate]
    for kind, patterns in _MISSING.items():
        if any(re.search(pattern, text) for pattern in patterns):
            return kind
    for kind, phrases in PHRASES.items():
        if any(phrase in text for phrase in phrases):
            return kind
    return ""
