// Updates an ESP32 by Otter's plain firmware API. Needs the Arduino core for ESP32 (2.0 or later) and ArduinoJson 7.
//
// The new firmware goes into the partition that doesn't run (a partition table with two of them, which is the usual one).
// It is checked by its SHA-256 while it comes, and tried at the restart: only once it has reached the server it says that
// it stays. One that crashes before that, or hangs until the watchdog bites, is left by the boot loader for the one before
// (CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, set in the usual builds of the core).

#include <ArduinoJson.h>
#include <HTTPClient.h>
#include <Preferences.h>
#include <Update.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <esp_ota_ops.h>
#include <mbedtls/sha256.h>

const char *WIFI_NAME = "your network";
const char *WIFI_PASSWORD = "its password";
const char *SERVER = "https://otter.example";
const char *MODEL = "esp32";
const char *VERSION = "1.0.0";
const unsigned long INTERVAL_MS = 60UL * 60UL * 1000UL;

// The authority of the server's certificate, PEM. Without it, whoever stands between can offer other firmware with a
// checksum that fits it: the checksum is worth as much as the connection that it comes by.
const char *SERVER_CA = R"(-----BEGIN CERTIFICATE-----
...
-----END CERTIFICATE-----
)";

WiFiClientSecure connection;
Preferences notes;

// Lets the application decide when new firmware stays; the core would do it at the start.
extern "C" bool verifyRollbackLater() { return true; }

String deviceId() {
  char id[32];
  snprintf(id, sizeof id, "esp32-%012llx", ESP.getEfuseMac());
  return id;
}

String quoted(const String &text) {
  String out;
  for (char c : text) {
    if (isalnum(c) || strchr("-._~", c)) {
      out += c;
    } else {
      char code[4];
      snprintf(code, sizeof code, "%%%02X", static_cast<unsigned char>(c));
      out += code;
    }
  }
  return out;
}

// Says where an update is; returns whether the server took it.
bool report(const String &version, const char *status, int percent = -1, const String &why = "") {
  JsonDocument said;
  said["device_id"] = deviceId();
  said["firmware_version"] = version;
  said["status"] = status;
  if (percent >= 0) said["progress_percent"] = percent;
  if (why.length()) said["error_message"] = why;
  String body;
  serializeJson(said, body);
  HTTPClient http;
  http.begin(connection, String(SERVER) + "/api/device/" + quoted(deviceId()) + "/update-status");
  http.addHeader("Content-Type", "application/json");
  int answer = http.POST(body);
  http.end();
  return answer == 200;
}

// Writes the offered firmware into the other partition. Returns why not, or nothing.
String install(JsonDocument &told, const String &version) {
  const size_t size = told["file_size"].as<size_t>();
  if (!Update.begin(size)) return Update.errorString();
  mbedtls_sha256_context digest;
  mbedtls_sha256_init(&digest);
  mbedtls_sha256_starts(&digest, 0);
  size_t done = 0;
  int told_percent = 0;
  String why;
  // Each round goes on where a cut connection left off.
  for (int rounds = 0; done < size && rounds < 10 && why.isEmpty(); rounds++) {
    HTTPClient http;
    http.begin(connection, String(SERVER) + told["download_url"].as<String>());
    http.addHeader("Range", "bytes=" + String(done) + "-");
    int answer = http.GET();
    if (answer != 206 && !(answer == 200 && done == 0)) {
      if (answer > 0) why = "the download answers " + String(answer);
      http.end();
      delay(1000);
      continue;
    }
    WiFiClient *stream = http.getStreamPtr();
    uint8_t part[1024];
    unsigned long heard = millis();
    while (done < size && millis() - heard < 15000) {
      size_t there = stream->available();
      if (there == 0) {
        if (!http.connected()) break;
        delay(1);
        continue;
      }
      int got = stream->readBytes(part, min(min(there, sizeof part), size - done));
      heard = millis();
      mbedtls_sha256_update(&digest, part, got);
      if (Update.write(part, got) != static_cast<size_t>(got)) {
        why = Update.errorString();
        break;
      }
      done += got;
      int percent = done * 100ULL / size;
      if (percent >= told_percent + 10) {
        told_percent = percent;
        report(version, "downloading", percent);
      }
    }
    http.end();
  }
  uint8_t hash[32];
  mbedtls_sha256_finish(&digest, hash);
  mbedtls_sha256_free(&digest);
  char got[65];
  for (int i = 0; i < 32; i++) snprintf(got + 2 * i, 3, "%02x", hash[i]);
  if (why.isEmpty() && done < size) why = "the download broke off";
  if (why.isEmpty() && told["checksum_sha256"].as<String>() != got) why = "the checksum differs";
  if (!why.isEmpty()) {
    Update.abort();
    return why;
  }
  report(version, "downloaded", 100);
  report(version, "installing");
  // Noted first: after the restart it is known what was tried, whichever firmware then runs.
  notes.putString("tried", version);
  if (!Update.end()) {
    notes.remove("tried");
    return Update.errorString();
  }
  return "";
}

void check() {
  HTTPClient http;
  http.begin(connection, String(SERVER) + "/api/firmware/check?device_id=" + quoted(deviceId()) +
                             "&device_model=" + quoted(MODEL) + "&current_version=" + quoted(VERSION));
  int answer = http.GET();
  JsonDocument told;
  bool understood = answer == 200 && !deserializeJson(told, http.getString());
  http.end();
  if (!understood || !told["update_available"].as<bool>()) return;
  String version = told["latest_version"].as<String>();
  report(version, "downloading", 0);
  String why = install(told, version);
  if (why.isEmpty()) ESP.restart();
  report(version, "failed", -1, why);
}

// Settles what was tried before the restart: this firmware stays once it has reached the server and said so.
void settle() {
  String tried = notes.getString("tried", "");
  if (tried.isEmpty()) return;
  bool arrived = tried == VERSION;
  if (!report(tried, arrived ? "success" : "rolled_back", arrived ? 100 : -1)) return;
  notes.remove("tried");
  if (arrived) esp_ota_mark_app_valid_cancel_rollback();
}

void setup() {
  Serial.begin(115200);
  notes.begin("otter");
  connection.setCACert(SERVER_CA);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  // New firmware that doesn't find its network is left again.
  for (int tries = 0; WiFi.status() != WL_CONNECTED; tries++) {
    if (tries == 120 && notes.isKey("tried")) ESP.restart();
    delay(500);
  }
}

void loop() {
  static unsigned long last = 0;
  static bool asked = false;
  settle();
  if (!asked || millis() - last > INTERVAL_MS) {
    asked = true;
    last = millis();
    check();
  }
  // Your application.
  delay(100);
}
