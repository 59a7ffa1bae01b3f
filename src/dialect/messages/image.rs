//! Pictures, sounds and files of every spelling as OpenAI's content parts.

use crate::dialect::json::Node;
use crate::event::json::push_string;

/// The content part for a picture, a sound or a file; None where OpenAI has no form that holds all it says.
pub(super) fn content_part(node: &Node<'_>) -> Option<String> {
    match node.text("type") {
        Some("image_url") if node.get("image_url").is_some_and(Node::is_object) => return Some(node.json()),
        Some("input_audio") if node.get("input_audio").is_some_and(Node::is_object) => return Some(node.json()),
        Some("file") if node.get("file").is_some_and(Node::is_object) => return Some(node.json()),
        Some("input_file") => return input_file(node),
        _ => {}
    }
    if let Some(url) = node.first(&["image_url", "imageUrl"]) {
        let detail = node.text("detail").or_else(|| url.text("detail"));
        let url = url.as_str().or_else(|| url.text("url"))?;
        return Some(image(url, detail));
    }
    // OpenInference: image.image.url, and the bare url that others put in its place.
    if let Some(url) = node.at(&["image", "image", "url"]).or_else(|| node.at(&["image", "url"])).and_then(Node::as_str)
    {
        return Some(image(url, None));
    }
    if let Some(text) = node.text("image") {
        return Some(image(
            &as_url(text, node.first_text(&["mediaType", "mimeType", "mime_type"]).unwrap_or("image/png")),
            None,
        ));
    }
    if let Some(url) = node.at(&["media", "url"]).and_then(Node::as_str) {
        return Some(image(url, None));
    }
    // Bedrock: {image: {format, source: {bytes}}}.
    if let Some(inner) = node.get("image") {
        let data = inner.at(&["source", "bytes"]).and_then(Node::as_str)?;
        let format = inner.text("format").unwrap_or("png");
        return Some(image(&as_url(data, &format!("image/{format}")), None));
    }
    // Anthropic: {source: {type, media_type, data | url}}.
    if let Some(source) = node.get("source") {
        let mime = source.text("media_type").unwrap_or_default();
        if node.text("type") != Some("image") {
            return None;
        }
        let url = match source.text("url") {
            Some(url) => url.to_owned(),
            None => as_url(source.text("data")?, mime),
        };
        return Some(image(&url, None));
    }
    let inner = node
        .first(&["inlineData", "inline_data", "fileData", "file_data"])
        .filter(|inner| inner.is_object())
        .unwrap_or(node);
    let mime = inner.first_text(&["mime_type", "mimeType", "mediaType", "media_type"]);
    // Pydantic AI's older formats: {type: "image-url", url}; its own parts say so by `kind`.
    let kind = node.first_text(&["type", "kind"]).and_then(|kind| kind.strip_suffix("-url"));
    let modality = node.text("modality").or(kind).or_else(|| mime.and_then(|mime| mime.split('/').next()));
    let data = inner.first(&["content", "data", "bytes"]).and_then(Node::as_str);
    let link = inner.first_text(&["uri", "fileUri", "file_uri", "url"]);
    match (modality, data, link) {
        (Some("image"), Some(data), _) => Some(image(&as_url(data, mime.unwrap_or("image/png")), None)),
        (Some("image"), None, Some(link)) => Some(image(link, None)),
        (Some("audio"), Some(data), _) => audio(data, mime),
        _ => file(inner),
    }
}

/// Text of base64 data, or an address that is one already, as an address.
fn as_url(data: &str, mime: &str) -> String {
    // No base64 has a colon: MLflow puts the address of what it keeps elsewhere in the place of the data.
    let is_address = data.get(..64).unwrap_or(data).contains("://");
    if data.starts_with("data:") || data.starts_with("@@@") || is_address {
        data.to_owned()
    } else {
        format!("data:{mime};base64,{data}")
    }
}

fn image(url: &str, detail: Option<&str>) -> String {
    let mut out = String::with_capacity(url.len() + 64);
    out.push_str("{\"type\":\"image_url\",\"image_url\":{\"url\":");
    push_string(&mut out, url);
    if let Some(detail) = detail {
        out.push_str(",\"detail\":");
        push_string(&mut out, detail);
    }
    out.push_str("}}");
    out
}

/// OpenAI takes sounds of two formats by name; the mime type's last word is that name.
fn audio(data: &str, mime: Option<&str>) -> Option<String> {
    let format = mime?.rsplit('/').next()?.trim_start_matches("x-");
    let mut out = String::with_capacity(data.len() + 80);
    out.push_str("{\"type\":\"input_audio\",\"input_audio\":{\"data\":");
    push_string(&mut out, data);
    out.push_str(",\"format\":");
    push_string(&mut out, if format == "mpeg" { "mp3" } else { format });
    out.push_str("}}");
    Some(out)
}

fn input_file(node: &Node<'_>) -> Option<String> {
    let known = ["file_id", "filename", "file_data"];
    let fields: Vec<(&str, &str)> = known.iter().filter_map(|key| node.text(key).map(|text| (*key, text))).collect();
    let said = node.entries().iter().filter(|(key, value)| key != "type" && !value.is_empty()).count();
    (said == fields.len() && said > 0).then(|| file_json(&fields))
}

fn file(node: &Node<'_>) -> Option<String> {
    let id = node.text("file_id")?;
    let said = node
        .entries()
        .iter()
        .filter(|(key, value)| !value.is_empty() && !matches!(key.as_ref(), "type" | "file_id"))
        .count();
    (said == 0).then(|| file_json(&[("file_id", id)]))
}

fn file_json(fields: &[(&str, &str)]) -> String {
    let mut out = String::from("{\"type\":\"file\",\"file\":{");
    for (place, (key, text)) in fields.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_string(&mut out, key);
        out.push(':');
        push_string(&mut out, text);
    }
    out.push_str("}}");
    out
}
