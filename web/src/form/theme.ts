import { rendererThemeComponentOverrides, rendererThemeOptions } from '@aehrc/smart-forms-renderer';
import { type Theme, createTheme } from '@mui/material/styles';

const FONT = "Arial, 'Helvetica Neue', Helvetica, 'Liberation Sans', sans-serif";

/** The look of what the renderer draws itself, in the colours and letters of the page. */
export function theme(): Theme {
  const made = createTheme({
    ...rendererThemeOptions,
    palette: {
      ...rendererThemeOptions.palette,
      primary: { main: '#005eb8', dark: '#003087' },
      error: { main: '#d5281b' },
      text: { primary: '#212b32', secondary: '#4c6272', disabled: '#4c6272' }
    },
    shape: { borderRadius: 4 },
    typography: { ...rendererThemeOptions.typography, fontFamily: FONT }
  });
  made.components = rendererThemeComponentOverrides(made);
  return made;
}
