// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.OutputStream;

/** One array, in UTF-8, of {query, hits: [{distance, score, word, definition}], device, millis}. */
final class JsonOutput implements Output {
  private final JsonGenerator json;

  JsonOutput(OutputStream out) throws IOException {
    json = new JsonFactory().createGenerator(out).useDefaultPrettyPrinter();
    json.writeStartArray();
  }

  @Override
  public void print(Answer answer) throws IOException {
    json.writeStartObject();
    json.writeStringField("query", answer.query());
    json.writeArrayFieldStart("hits");
    for (Answer.Hit hit : answer.hits()) {
      json.writeStartObject();
      json.writeNumberField("distance", hit.distance());
      json.writeNumberField("score", hit.score());
      json.writeStringField("word", hit.definition().word());
      json.writeStringField("definition", hit.definition().text());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeStringField("device", answer.device());
    // Microseconds: the clock is finer than the search is repeatable.
    json.writeNumberField("millis", Math.round(answer.millis() * 1e3) / 1e3);
    json.writeEndObject();
    json.flush();
  }

  @Override
  public void close() throws IOException {
    json.writeEndArray();
    json.writeRaw(System.lineSeparator());
    json.close();
  }
}
